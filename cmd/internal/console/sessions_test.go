package console

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// asked is a request to a route with the cookie of a login.
func asked(route string, login *httptest.ResponseRecorder) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Pattern = route
	for _, cookie := range login.Result().Cookies() {
		r.AddCookie(cookie)
	}
	return r
}

func TestSessionsEnd(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := newSessions(func() time.Time { return now })
	begin := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s.open(w, httptest.NewRequest("POST", "/login", nil), "investigator")
		return w
	}
	alive := func(login *httptest.ResponseRecorder, route string) bool {
		_, ok := s.of(asked(route, login))
		return ok
	}

	used, idle, polled := begin(), begin(), begin()
	for range 4 {
		now = now.Add(sessionIdles / 2)
		if !alive(used, "GET /{$}") {
			t.Fatal("a session in use ended")
		}
		alive(polled, routeListPoll)
	}
	if alive(idle, "GET /{$}") || alive(polled, "GET /{$}") {
		t.Error("a session that nobody uses lives on, by itself or by its page's timer")
	}
	for began := now; now.Sub(began) < sessionLives; now = now.Add(sessionIdles / 2) {
		alive(used, "GET /{$}")
	}
	if alive(used, "GET /{$}") {
		t.Errorf("a session lives for more than %s", sessionLives)
	}
}

func TestTheTableOfSessionsIsBounded(t *testing.T) {
	s := newSessions(time.Now)
	first := httptest.NewRecorder()
	s.open(first, httptest.NewRequest("POST", "/login", nil), "investigator")
	for range maxSessions {
		s.open(httptest.NewRecorder(), httptest.NewRequest("POST", "/login", nil), "investigator")
	}
	if _, ok := s.of(asked("GET /{$}", first)); ok || s.table.Len() != maxSessions {
		t.Errorf("%d sessions are kept, want %d without the oldest", s.table.Len(), maxSessions)
	}
}

// htmx 2.0.11 is vendored as the package htmx.org published it.
func TestHtmxIsTheOneThatWasReviewed(t *testing.T) {
	file, err := static.ReadFile("static/htmx.min.js")
	if err != nil {
		t.Fatal(err)
	}
	const reviewed = "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"
	if sum := sha256.Sum256(file); hex.EncodeToString(sum[:]) != reviewed {
		t.Errorf("static/htmx.min.js has SHA-256 %x", sum)
	}
}
