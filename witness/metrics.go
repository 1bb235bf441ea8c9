package witness

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	registerer prometheus.Registerer
	requests   *prometheus.CounterVec
	limited    prometheus.Counter
	size       *prometheus.GaugeVec
	last       *prometheus.GaugeVec
	mirrors    mirrorCollector
}

// newMetrics registers the witness's metrics, with what was restored from the state directory.
func newMetrics(w *Witness, registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		registerer: registerer,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shiguan_witness_submissions_total",
			Help: "Checkpoints submitted to this witness, by what became of them.",
		}, []string{"result"}),
		limited: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "shiguan_witness_limited_requests_total",
			Help: "Requests of any kind turned away because their address sent too many.",
		}),
		size: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "shiguan_witness_latest_size",
			Help: "Tree size of the latest checkpoint co-signed for the log, in leaves.",
		}, []string{"origin"}),
		last: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "shiguan_witness_last_cosignature_timestamp_seconds",
			Help: "Unix time of the latest cosignature for the log, 0 if there never was one.",
		}, []string{"origin"}),
	}
	for _, result := range results {
		m.requests.WithLabelValues(result)
	}
	for _, l := range w.logs {
		if l.mirror != nil {
			m.mirrors = append(m.mirrors, l.mirror)
		}
		m.size.WithLabelValues(l.origin).Set(float64(l.latest.Size))
		m.last.WithLabelValues(l.origin).Set(seconds(l.signed))
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range m.collectors() {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("registering the witness's metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) collectors() []prometheus.Collector {
	all := []prometheus.Collector{m.requests, m.limited, m.size, m.last}
	if len(m.mirrors) > 0 {
		all = append(all, m.mirrors)
	}
	return all
}

func (m *metrics) unregister() {
	if m.registerer == nil {
		return
	}
	for _, c := range m.collectors() {
		m.registerer.Unregister(c)
	}
}

func (m *metrics) count(result string) { m.requests.WithLabelValues(result).Inc() }

func (m *metrics) cosigned(origin string, size uint64, at time.Time) {
	m.size.WithLabelValues(origin).Set(float64(size))
	m.last.WithLabelValues(origin).Set(seconds(at))
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}

var (
	mirrorSizeDesc = prometheus.NewDesc("shiguan_witness_mirror_size",
		"Tree size of the log's mirrored copy, in leaves.", []string{"origin"}, nil)
	mirrorLagDesc = prometheus.NewDesc("shiguan_witness_mirror_lag_seconds",
		"For how long a head that was co-signed has not been mirrored; 0 if the copy is complete.", []string{"origin"}, nil)
	mirrorFailuresDesc = prometheus.NewDesc("shiguan_witness_mirror_failures_total",
		"Attempts to mirror the log that failed; they are repeated.", []string{"origin"}, nil)
	mirrorStoppedDesc = prometheus.NewDesc("shiguan_witness_mirror_stopped",
		"1 if the log is not mirrored any more, because its copy is damaged or its disk failed.", []string{"origin"}, nil)
)

// mirrorCollector asks the mirrors when Prometheus does: a lag grows by itself.
type mirrorCollector []*mirror

// Describe implements prometheus.Collector.
func (c mirrorCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{mirrorSizeDesc, mirrorLagDesc, mirrorFailuresDesc, mirrorStoppedDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c mirrorCollector) Collect(ch chan<- prometheus.Metric) {
	for _, m := range c {
		failures, stopped := m.trouble()
		off := 0.0
		if stopped {
			off = 1
		}
		ch <- prometheus.MustNewConstMetric(mirrorSizeDesc, prometheus.GaugeValue, float64(m.size()), m.log.origin)
		ch <- prometheus.MustNewConstMetric(mirrorLagDesc, prometheus.GaugeValue, m.lag().Seconds(), m.log.origin)
		ch <- prometheus.MustNewConstMetric(mirrorFailuresDesc, prometheus.CounterValue, float64(failures), m.log.origin)
		ch <- prometheus.MustNewConstMetric(mirrorStoppedDesc, prometheus.GaugeValue, off, m.log.origin)
	}
}
