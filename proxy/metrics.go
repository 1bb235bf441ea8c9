package proxy

import (
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"shiguan/proxy/certs"

	"shiguan/auditlog/record"
	"shiguan/policy"
)

type metrics struct {
	statements *prometheus.CounterVec
	duration   prometheus.Histogram
	logins     *prometheus.CounterVec
	fatals     *prometheus.CounterVec
	cancels    *prometheus.CounterVec
	handshakes *prometheus.CounterVec
	unrecorded prometheus.Counter
	turnedAway prometheus.Counter
	granted    *prometheus.CounterVec
	// refusedFiles counts policies and grants that were not taken.
	refusedFiles *prometheus.CounterVec

	allowed prometheus.Counter // statements{decision="allowed"}, looked up once
}

func newMetrics(s *Server, r prometheus.Registerer, version string) *metrics {
	m := &metrics{
		statements: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shiguan_statements_total", Help: "Statements by decision: allowed, refused or failed."}, []string{"decision"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "shiguan_statement_duration_seconds", Help: "Time from the record of a statement to its completion.",
			Buckets: prometheus.ExponentialBuckets(100e-6, 4, 10)}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shiguan_logins_total", Help: "Logins by result: ok, failed or limited."}, []string{"result"}),
		fatals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shiguan_fatal_errors_total", Help: "Sessions and logins ended by the proxy, by SQLSTATE."}, []string{"sqlstate"}),
		cancels: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shiguan_cancel_requests_total", Help: "Cancel requests by result: delivered, idle or unknown."}, []string{"result"}),
		handshakes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shiguan_tls_handshakes_total", Help: "TLS handshakes with clients by result: ok or failed."}, []string{"result"}),
		unrecorded: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "shiguan_refusals_unrecorded_total", Help: "Refusals because the audit log could not be written (SQLSTATE 58030)."}),
		turnedAway: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "shiguan_connections_turned_away_total", Help: "Connections closed before they logged in, because others wanted their place."}),
	}
	m.policyMetrics(s, r)
	m.allowed = m.statements.WithLabelValues("allowed")
	m.statements.WithLabelValues("refused")
	m.statements.WithLabelValues("failed")
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "shiguan_build_info", Help: "Always 1; the labels say what runs."}, []string{"version", "go_version"})
	build.WithLabelValues(version, runtime.Version()).Set(1)
	sessions := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "shiguan_sessions", Help: "Sessions that are open now."}, func() float64 { return float64(s.open()) })
	if r != nil {
		for what, k := range s.keepers() {
			r.MustRegister(expiry(what, k))
		}
		r.MustRegister(m.statements, m.duration, m.logins, m.fatals, m.cancels, m.handshakes, m.unrecorded, m.turnedAway, build, sessions)
	}
	return m
}

// expiry says when the certificate in force ends; 0 where there are authorities only.
func expiry(what string, k *certs.Keeper) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "shiguan_tls_certificate_expiry_timestamp_seconds", Help: "When the certificate in force expires, by what it is for.",
		ConstLabels: prometheus.Labels{"of": what}}, func() float64 {
		if pair := k.Current().Certificate; pair != nil {
			return float64(pair.Leaf.NotAfter.Unix())
		}
		return 0
	})
}

func (m *metrics) decided(word string) {
	if word == "allowed" {
		m.allowed.Inc()
		return
	}
	m.statements.WithLabelValues(word).Inc()
}

func (m *metrics) ran(d time.Duration) { m.duration.Observe(d.Seconds()) }
func (m *metrics) login(result string) { m.logins.WithLabelValues(result).Inc() }
func (m *metrics) fatal(code string)   { m.fatals.WithLabelValues(code).Inc() }

// policyMetrics say whether policy is signed, and what is done under grants.
func (m *metrics) policyMetrics(s *Server, r prometheus.Registerer) {
	m.granted = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "shiguan_grant_statements_total", Help: "Statements allowed by a grant, by kind: grant or break-glass."}, []string{"kind"})
	m.refusedFiles = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "shiguan_policy_refusals_total", Help: "Policies and grants that were not taken, by kind: policy refused or grant refused."}, []string{"kind"})
	for _, kind := range []string{policy.KindGrant, policy.KindBreakGlass} {
		m.granted.WithLabelValues(kind)
	}
	for _, kind := range []record.Kind{record.KindPolicyRefused, record.KindGrantRefused} {
		m.refusedFiles.WithLabelValues(kind.String())
	}
	unsigned := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "shiguan_policy_unsigned", Help: "1 when the configuration names nobody whose signature a policy needs."})
	if s.opt.Unsigned {
		unsigned.Set(1)
	}
	if r != nil {
		r.MustRegister(m.granted, m.refusedFiles, unsigned)
	}
}

// under counts a statement that grants allow; their ids begin with their kind.
func (m *metrics) under(grants string) {
	for id := range strings.SplitSeq(grants, ",") {
		m.granted.WithLabelValues(policy.KindOfGrant(id)).Inc()
	}
}
