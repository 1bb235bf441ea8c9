package quorum

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"shiguan/auditlog/tiles"
)

// The values of the metric label "result".
const (
	resultCosigned    = "cosigned"
	resultConflict    = "conflict"    // 409: it was at another size than we thought, which is mended by asking again
	resultRefused     = "refused"     // another status
	resultInvalid     = "invalid"     // an answer that breaks the protocol or a cosignature that does not verify
	resultUnreachable = "unreachable" // no answer
	resultUnproven    = "unproven"    // it claims to know another head of the log and does not prove it
	resultRolledBack  = "rolled_back" // it proves it
)

var results = []string{resultCosigned, resultConflict, resultRefused, resultInvalid, resultUnreachable, resultUnproven, resultRolledBack}

func resultOf(err error) string {
	var conflict *conflictError
	var status *statusError
	var broken *invalidError
	switch {
	case err == nil:
		return resultCosigned
	case errors.As(err, &conflict):
		return resultConflict
	case errors.As(err, &status):
		return resultRefused
	case errors.As(err, &broken):
		return resultInvalid
	}
	return resultUnreachable
}

type metrics struct {
	registerer prometheus.Registerer
	requests   *prometheus.CounterVec
	ages       *ages
}

func newMetrics(policy *tiles.Policy, clock func() time.Time, registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		registerer: registerer,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shiguan_witness_requests_total",
			Help: "Requests to witnesses for a cosignature, and what their claims of a rollback came to.",
		}, []string{"witness", "result"}),
		ages: &ages{clock: clock, last: make(map[string]time.Time)},
	}
	for _, w := range policy.Witnesses {
		m.ages.last[w.Name] = time.Time{}
		for _, result := range results {
			m.requests.WithLabelValues(w.Name, result)
		}
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range m.collectors() {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("registering the metrics of the quorum: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.ages}
}

func (m *metrics) unregister() {
	if m.registerer == nil {
		return
	}
	for _, c := range m.collectors() {
		m.registerer.Unregister(c)
	}
}

func (m *metrics) count(witness, result string) { m.requests.WithLabelValues(witness, result).Inc() }

func (m *metrics) cosigned(witness string, at time.Time) {
	m.ages.mu.Lock()
	defer m.ages.mu.Unlock()
	if at.After(m.ages.last[witness]) {
		m.ages.last[witness] = at
	}
}

// ages computes the age of each witness's last cosignature when it is asked for, so that it grows while nothing happens.
type ages struct {
	clock func() time.Time
	mu    sync.Mutex
	last  map[string]time.Time // zero: none since this process started
}

var ageDesc = prometheus.NewDesc("shiguan_witness_cosignature_age_seconds",
	"Age of the witness's last cosignature by the time that it states; +Inf if it gave none since this process started.",
	[]string{"witness"}, nil)

// Describe implements prometheus.Collector.
func (a *ages) Describe(ch chan<- *prometheus.Desc) { ch <- ageDesc }

// Collect implements prometheus.Collector.
func (a *ages) Collect(ch chan<- prometheus.Metric) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock()
	for witness, last := range a.last {
		age := math.Inf(1)
		if !last.IsZero() {
			age = max(0, now.Sub(last).Seconds())
		}
		ch <- prometheus.MustNewConstMetric(ageDesc, prometheus.GaugeValue, age, witness)
	}
}
