package cli

import (
	"strings"
	"testing"
	"time"
)

func TestTimesOfASpan(t *testing.T) {
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 21, 9, 30, 0, 0, zone)
	for _, test := range []struct{ text, since, until string }{
		{"2026-11-20T08:30:00Z", "2026-11-20T16:30:00+08:00", "2026-11-20T16:30:00+08:00"},
		{"2026-11-20T08:30:00.5+08:00", "2026-11-20T08:30:00.5+08:00", "2026-11-20T08:30:00.5+08:00"},
		{"2026-11-20", "2026-11-20T00:00:00+08:00", "2026-11-21T00:00:00+08:00"}, // until: the whole day
		{"2026-11-20 08:30", "2026-11-20T08:30:00+08:00", "2026-11-20T08:30:00+08:00"},
		{"2026-11-20 08:30:15", "2026-11-20T08:30:15+08:00", "2026-11-20T08:30:15+08:00"},
		{"2026-11-20T08:30", "2026-11-20T08:30:00+08:00", "2026-11-20T08:30:00+08:00"},
		{"2h", "2026-11-21T07:30:00+08:00", "2026-11-21T07:30:00+08:00"},
		{"90m", "2026-11-21T08:00:00+08:00", "2026-11-21T08:00:00+08:00"},
		{"7d", "2026-11-14T09:30:00+08:00", "2026-11-14T09:30:00+08:00"},
		{"2w", "2026-11-07T09:30:00+08:00", "2026-11-07T09:30:00+08:00"},
	} {
		since, err := parseSince(test.text, now, zone)
		if got := since.In(zone).Format(time.RFC3339Nano); err != nil || got != test.since {
			t.Errorf("since %q = %s, %v; want %s", test.text, got, err, test.since)
		}
		until, err := parseUntil(test.text, now, zone)
		if got := until.In(zone).Format(time.RFC3339Nano); err != nil || got != test.until {
			t.Errorf("until %q = %s, %v; want %s", test.text, got, err, test.until)
		}
	}
	if since, err := parseSince(" ", now, zone); err != nil || !since.IsZero() {
		t.Errorf("no time: %v, %v; want the zero time", since, err)
	}
}

func TestWhatIsNoTimeSaysWhatIs(t *testing.T) {
	for _, text := range []string{"yesterday", "2026-13-01", "-2h", "7x", "d", "2026-11-20 25:00", "99999999999999d"} {
		_, err := parseSince(text, time.Now(), time.UTC)
		if err == nil || !strings.Contains(err.Error(), "--since") || !strings.Contains(err.Error(), "7d") {
			t.Errorf("%q: error %v; want one that names the flag and shows how to write it", text, err)
		}
	}
}
