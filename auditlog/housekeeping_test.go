package auditlog

import (
	"context"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"shiguan/auditlog/record"
)

func TestEachDayHasItsPeriod(t *testing.T) {
	k := newTestKeys(t)
	m := newMemFS()
	o := k.crashOptions(t, m, &strictWitness{})
	now := time.Date(2026, 11, 21, 23, 59, 0, 0, time.UTC)
	o.now = func() time.Time { return now }
	l := mustOpen(t, o)
	keep := func() {
		if err := l.keepPeriod(); err != nil {
			t.Fatal(err)
		}
	}
	keep()
	if p := l.Status().Period; p != 1 {
		t.Errorf("period %d on the same day", p)
	}
	mustAppend(t, l, 1, "in 1")
	now = now.Add(2 * time.Minute)
	keep()
	keep()
	if p := l.Status().Period; p != 2 {
		t.Errorf("period %d on the next day, want 2", p)
	}
	mustAppend(t, l, 2, "in 2")
	mustClose(t, l)

	src := newDirSource("mem", m)
	op := NewOpener(src, []age.Identity{k.identity})
	var periods []uint32
	var kinds []record.Kind
	err := src.Records(context.Background(), 0, func(st Stored) error {
		periods, kinds = append(periods, st.Leaf.Period), append(kinds, st.Leaf.Kind)
		_, _, err := op.Open(context.Background(), st)
		return err
	})
	if err != nil || len(kinds) != 4 || kinds[2] != record.KindPeriodOpened || periods[1] != 1 || periods[2] != 2 || periods[3] != 2 {
		t.Errorf("periods %v, kinds %v, %v", periods, kinds, err)
	}
	k.mustFsck(t, src)
}

func TestHeartbeats(t *testing.T) {
	k := newTestKeys(t)
	m := newMemFS()
	o := k.crashOptions(t, m, &strictWitness{})
	o.manual, o.Interval, o.Heartbeat = false, time.Millisecond, 2*time.Millisecond
	l := mustOpen(t, o)
	waitFor(t, l, "three heartbeats", func(s Status) bool { return s.Durable >= 4 })
	mustClose(t, l)
	err := newDirSource("mem", m).Records(context.Background(), 1, func(st Stored) error {
		if st.Leaf.Kind != record.KindHeartbeat {
			t.Errorf("record %d is a %v", st.Index, st.Leaf.Kind)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestMetrics(t *testing.T) {
	k := newTestKeys(t)
	registry := prometheus.NewPedanticRegistry()
	o := k.crashOptions(t, newMemFS(), &strictWitness{})
	o.Registerer = registry
	l := mustOpen(t, o)
	for i := range uint64(3) {
		if err := mustAppend(t, l, i, "p").Wait(); err != nil {
			t.Fatal(err)
		}
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Fatalf("%v, %v", problems, err)
	}
	value := func(name string) float64 {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() != name {
				continue
			}
			switch metric := f.GetMetric()[0]; {
			case metric.Counter != nil:
				return metric.Counter.GetValue()
			case metric.Histogram != nil:
				return float64(metric.Histogram.GetSampleCount())
			default:
				return metric.Gauge.GetValue()
			}
		}
		t.Fatalf("no metric %s", name)
		return 0
	}
	expect := func(when string, want map[string]float64) {
		t.Helper()
		for name, v := range want {
			if got := value(name); got != v {
				t.Errorf("%s: %s is %v, want %v", when, name, got, v)
			}
		}
	}
	expect("appended", map[string]float64{"shiguan_log_records_total": 4, "shiguan_log_fsync_seconds": 4, "shiguan_log_batch_records": 4,
		"shiguan_log_durable_size": 4, "shiguan_log_integrated_size": 0, "shiguan_log_witnessed_size": 0,
		"shiguan_log_durable_lag_seconds": 0, "shiguan_log_write_failures_total": 0, "shiguan_log_broken": 0})
	for _, name := range []string{"shiguan_log_integrated_lag_seconds", "shiguan_log_witnessed_lag_seconds"} {
		if v := value(name); v <= 0 || v > 600 {
			t.Errorf("%s is %v", name, v)
		}
	}
	if _, err := l.signer.step(context.Background()); err != nil {
		t.Fatal(err)
	}
	expect("signed", map[string]float64{"shiguan_log_integrated_size": 4, "shiguan_log_integrated_lag_seconds": 0, "shiguan_log_witnessed_size": 0})
	if err := l.witnessing.step(context.Background()); err != nil {
		t.Fatal(err)
	}
	expect("witnessed", map[string]float64{"shiguan_log_witnessed_size": 4, "shiguan_log_witnessed_lag_seconds": 0})

	second := k.crashOptions(t, newMemFS(), &strictWitness{})
	second.Registerer = registry
	if other, err := Open(context.Background(), second); err == nil {
		mustClose(t, other)
		t.Error("two logs share their metrics")
	}
	l.fail(errCrashed)
	expect("broken", map[string]float64{"shiguan_log_broken": 1, "shiguan_log_write_failures_total": 1})
	l.Close(context.Background())
	if families, err := registry.Gather(); err != nil || len(families) != 0 {
		t.Errorf("after Close %d families are left, %v", len(families), err)
	}
}

func TestAges(t *testing.T) {
	a := &ages{}
	at := func(i uint64) time.Time { return time.Unix(int64(i), 0) }
	if !a.since(7).IsZero() {
		t.Error("knows the age of what never came")
	}
	const n = 3 * maxAges
	for i := range uint64(n) {
		a.add(10*i, at(i))
	}
	if len(a.marks) > maxAges {
		t.Errorf("%d marks, want at most %d", len(a.marks), maxAges)
	}
	for _, i := range []uint64{0, 1, 500, n / 2, n - 1} {
		got := a.since(10*i + 3)
		if got.After(at(i)) || at(i).Sub(got) > 8*time.Second {
			t.Errorf("record %d came at %v, said is %v", 10*i+3, at(i).Unix(), got.Unix())
		}
	}
	a.forget(10 * (n / 2))
	if got := a.since(10 * (n / 2)); got.After(at(n/2)) || got.IsZero() {
		t.Errorf("after forgetting what is before: %v", got)
	}
	if got := a.since(10 * (n - 1)); got.After(at(n-1)) || at(n-1).Sub(got) > 8*time.Second {
		t.Errorf("the newest: %v", got)
	}
}

// After a restart the lags of what waits go on from the records' own times.
func TestLagsSurviveARestart(t *testing.T) {
	k := newTestKeys(t)
	m, _ := memLog(t, k, 3, 2)
	l, err := reopen(t, k, m)
	if err != nil {
		t.Fatal(err)
	}
	if s := l.Status(); !s.OldestNotIntegrated.Equal(testTime) || s.OldestUnwitnessed.IsZero() {
		t.Errorf("%+v, want %v", s, testTime.UTC())
	}
	mustClose(t, l)
}
