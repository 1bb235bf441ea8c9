package tour

import (
	"fmt"
	"net/http"
	"strings"
)

// watched are metrics that compliance relies on; the tour wants each of them there with a value.
var watched = []string{
	"shiguan_statements_total", "shiguan_records_total", "shiguan_sessions", "shiguan_build_info",
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
	have := map[string]bool{}
	for line := range strings.Lines(string(body)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, _, _ = strings.Cut(name, "{")
		have[name] = true
	}
	for _, name := range watched {
		if !have[name] {
			return fmt.Errorf("%s is not among the %d metrics", name, len(have))
		}
	}
	return nil
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
