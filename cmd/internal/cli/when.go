package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// timeLayouts are the ways a time without a zone may be written, read in the configuration's zone.
var timeLayouts = []string{"2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04"}

// parseSince reads the beginning of a span of time: RFC 3339, a day or a time in zone, or how long ago (2h, 7d).
func parseSince(text string, now time.Time, zone *time.Location) (time.Time, error) {
	t, _, err := parseWhen("--since", text, now, zone)
	return t, err
}

// parseUntil is parseSince for the end, which is not part of the span. A whole day counts to its end: --until 2026-11-20
// includes what happened on the 20th.
func parseUntil(text string, now time.Time, zone *time.Location) (time.Time, error) {
	t, day, err := parseWhen("--until", text, now, zone)
	if day {
		t = t.AddDate(0, 0, 1)
	}
	return t, err
}

func parseWhen(flag, text string, now time.Time, zone *time.Location) (t time.Time, day bool, err error) {
	if text = strings.TrimSpace(text); text == "" {
		return time.Time{}, false, nil
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, false, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, zone); err == nil {
		return t, true, nil
	}
	for _, layout := range timeLayouts {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t, false, nil
		}
	}
	if ago, ok := parseAgo(text); ok {
		return now.Add(-ago), false, nil
	}
	return time.Time{}, false, fmt.Errorf("%s %q is no time: write 2026-11-20, \"2026-11-20 08:30\" (both in %s), 2026-11-20T08:30:00+08:00, "+
		"or how long ago, such as 2h or 7d", flag, text, zone)
}

// parseAgo reads a duration, with d and w beside Go's units. Days are of 24 hours.
func parseAgo(text string) (time.Duration, bool) {
	if len(text) > 1 {
		days := map[byte]int64{'d': 1, 'w': 7}[text[len(text)-1]]
		if n, err := strconv.ParseInt(text[:len(text)-1], 10, 16); err == nil && days > 0 && n >= 0 {
			return time.Duration(n*days) * 24 * time.Hour, true
		}
	}
	d, err := time.ParseDuration(text)
	return d, err == nil && d >= 0
}
