package tour

import (
	"fmt"
	"net/http"
	"strings"
)

// watched are the series that compliance relies on; the tour wants each of them there.
var watched = []string{
	`shiguan_build_info`,
	`shiguan_sessions`,
	`shiguan_statements_total{decision="allowed"}`,
	`shiguan_statements_total{decision="refused"}`,
	`shiguan_refusals_unrecorded_total`,
	`shiguan_log_records_total`,
	`shiguan_log_fsync_seconds_count`,
	`shiguan_log_durable_lag_seconds`,
	`shiguan_log_integrated_lag_seconds`,
	`shiguan_log_witnessed_lag_seconds`,
	`shiguan_witness_cosignature_age_seconds{witness="audit-office"}`,
}

// watch walks through what compliance and the investigator look at.
func (w *walker) watch() {
	w.chapter("Compliance watches")
	w.step("metrics say at a glance whether the audit is whole", w.metrics)
	w.step("the console answers, and shows nothing to whom it does not know", w.console)
}

func (w *walker) metrics() error {
	status, body, err := w.http(http.MethodGet, w.m.MetricsURL, nil)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s: status %d", w.m.MetricsURL, status)
	}
	series := map[string]bool{}
	for line := range strings.Lines(string(body)) {
		if at := strings.LastIndexByte(strings.TrimSpace(line), ' '); at > 0 && line[0] != '#' {
			series[line[:at]] = true
		}
	}
	for _, name := range watched {
		if !series[name] && !labelled(series, name) {
			return fmt.Errorf("%s is not among the %d series", name, len(series))
		}
	}
	return nil
}

// labelled reports whether a metric is there with some labels.
func labelled(series map[string]bool, name string) bool {
	for one := range series {
		if strings.HasPrefix(one, name+"{") {
			return true
		}
	}
	return false
}

func (w *walker) console() error {
	status, body, err := w.http(http.MethodGet, w.m.ConsoleURL, nil)
	if err != nil {
		return err
	}
	if status != http.StatusOK || !strings.Contains(strings.ToLower(string(body)), "password") {
		return fmt.Errorf("%s: status %d and no login page", w.m.ConsoleURL, status)
	}
	if strings.Contains(string(body), w.purpose) || strings.Contains(string(body), "civil_clerk") {
		return fmt.Errorf("%s shows records to somebody who is not logged in", w.m.ConsoleURL)
	}
	return nil
}
