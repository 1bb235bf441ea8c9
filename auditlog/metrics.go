package auditlog

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the log's figures. The zero Registerer is allowed: then they are
// kept and shown to nobody.
type metrics struct {
	registerer prometheus.Registerer
	all        []prometheus.Collector

	records       prometheus.Counter
	bytes         prometheus.Counter
	fsync         prometheus.Histogram
	batch         prometheus.Histogram
	writeFailures prometheus.Counter
	cosignFailure prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer, status func() Status, broken func() bool) (*metrics, error) {
	m := &metrics{registerer: registerer}
	m.records = add(m, prometheus.NewCounter(prometheus.CounterOpts{
		Name: "shiguan_log_records_total", Help: "Records made durable by this process."}))
	m.bytes = add(m, prometheus.NewCounter(prometheus.CounterOpts{
		Name: "shiguan_log_written_bytes_total", Help: "Bytes of records made durable by this process."}))
	m.fsync = add(m, prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "shiguan_log_fsync_seconds", Help: "Time of one sync of the store.",
		Buckets: prometheus.ExponentialBuckets(25e-6, 2, 16)}))
	m.batch = add(m, prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "shiguan_log_batch_records", Help: "Records made durable by one sync.",
		Buckets: prometheus.ExponentialBuckets(1, 2, 14)}))
	m.writeFailures = add(m, prometheus.NewCounter(prometheus.CounterOpts{
		Name: "shiguan_log_write_failures_total", Help: "Failures to write the log. The first one breaks it for good."}))
	m.cosignFailure = add(m, prometheus.NewCounter(prometheus.CounterOpts{
		Name: "shiguan_log_cosign_failures_total", Help: "Attempts to have a head co-signed that reached no quorum."}))
	m.gauge("shiguan_log_broken", "1 if the log takes no more records until the process is restarted.", func() float64 {
		if broken() {
			return 1
		}
		return 0
	})
	m.gauge("shiguan_log_durable_size", "Records on stable storage.", func() float64 { return float64(status().Durable) })
	m.gauge("shiguan_log_integrated_size", "Records in the last head the log has signed.", func() float64 { return float64(status().Integrated) })
	m.gauge("shiguan_log_witnessed_size", "Records in the last checkpoint a quorum has co-signed.", func() float64 { return float64(status().Witnessed) })
	m.gauge("shiguan_log_durable_lag_seconds", "Age of the oldest record not yet on stable storage, 0 if there is none.",
		func() float64 { return lag(status().OldestNotDurable) })
	m.gauge("shiguan_log_integrated_lag_seconds", "Age of the oldest record not yet in a signed head, 0 if there is none.",
		func() float64 { return lag(status().OldestNotIntegrated) })
	m.gauge("shiguan_log_witnessed_lag_seconds", "Age of the oldest record not yet in a co-signed checkpoint, 0 if there is none.",
		func() float64 { return lag(status().OldestUnwitnessed) })
	return m, m.register()
}

func add[C prometheus.Collector](m *metrics, c C) C {
	m.all = append(m.all, c)
	return c
}

func (m *metrics) gauge(name, help string, value func() float64) {
	add(m, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

func lag(since time.Time) float64 {
	if since.IsZero() {
		return 0
	}
	return max(0, time.Since(since).Seconds())
}

func (m *metrics) register() error {
	if m.registerer == nil {
		return nil
	}
	for i, c := range m.all {
		if err := m.registerer.Register(c); err != nil {
			m.all = m.all[:i]
			m.unregister()
			return errors.Join(errors.New("the log's metrics cannot be registered: is the same log open twice in this process?"), err)
		}
	}
	return nil
}

func (m *metrics) unregister() {
	if m.registerer == nil {
		return
	}
	for _, c := range m.all {
		m.registerer.Unregister(c)
	}
}

func (m *metrics) synced(took time.Duration) { m.fsync.Observe(took.Seconds()) }

func (m *metrics) wrote(b *batch, err error) {
	if err != nil {
		return
	}
	m.records.Add(float64(b.count))
	m.bytes.Add(float64(b.bytes))
	m.batch.Observe(float64(b.count))
}

func (m *metrics) failed() { m.writeFailures.Inc() }

func (m *metrics) cosignFailed() { m.cosignFailure.Inc() }
