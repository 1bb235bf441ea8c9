package console

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	cookieName   = "shiguan_console"
	maxSessions  = 256
	sessionLives = 8 * time.Hour
	sessionIdles = 30 * time.Minute
)

// session is one logged-in browser. The table owns it; handlers get copies.
type session struct {
	user   string
	began  time.Time
	seen   time.Time
	filter filter
}

// sessions is the table of logged-in browsers. It keeps only hashes of the cookies, so that a core dump or a debugger's
// glance at the table hands nobody a session. The oldest one goes when the table is full; a restart ends them all.
type sessions struct {
	now func() time.Time

	mu    sync.Mutex
	table *lru.Cache[[sha256.Size]byte, *session]
}

func newSessions(now func() time.Time) *sessions {
	table, err := lru.New[[sha256.Size]byte, *session](maxSessions)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &sessions{now: now, table: table}
}

// open begins a session and sets its cookie. Secure is set where the request came over TLS; on loopback without TLS it would
// keep some clients from sending the cookie back.
func (s *sessions) open(w http.ResponseWriter, r *http.Request, user string) {
	token := rand.Text()
	s.mu.Lock()
	s.table.Add(sha256.Sum256([]byte(token)), &session{user: user, began: s.now(), seen: s.now(), filter: filter{Live: true}})
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: token, Path: "/", HttpOnly: true, Secure: r.TLS != nil,
		SameSite: http.SameSiteStrictMode, MaxAge: int(sessionLives / time.Second)})
}

// of returns the request's session, and false when there is none or it has ended.
func (s *sessions) of(r *http.Request) (session, bool) {
	key, ok := sessionKey(r)
	if !ok {
		return session{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one, ok := s.table.Get(key)
	if !ok {
		return session{}, false
	}
	now := s.now()
	if now.Sub(one.began) > sessionLives || now.Sub(one.seen) > sessionIdles {
		s.table.Remove(key)
		return session{}, false
	}
	if !isPoll(r) {
		one.seen = now
	}
	return *one, true
}

// isPoll reports whether a page asks by itself. That is no person at the keyboard and does not keep a session alive.
func isPoll(r *http.Request) bool {
	return r.Pattern == routeListPoll || r.Pattern == routeProofPoll
}

// setFilter remembers what the person last searched for, so that it need not stand in a URL.
func (s *sessions) setFilter(r *http.Request, f filter) {
	key, ok := sessionKey(r)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if one, ok := s.table.Get(key); ok {
		one.filter = f
	}
}

func (s *sessions) close(w http.ResponseWriter, r *http.Request) {
	if key, ok := sessionKey(r); ok {
		s.mu.Lock()
		s.table.Remove(key)
		s.mu.Unlock()
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", HttpOnly: true, Secure: r.TLS != nil,
		SameSite: http.SameSiteStrictMode, MaxAge: -1})
}

func sessionKey(r *http.Request) ([sha256.Size]byte, bool) {
	cookie, err := r.Cookie(cookieName)
	if err != nil || cookie.Value == "" {
		return [sha256.Size]byte{}, false
	}
	return sha256.Sum256([]byte(cookie.Value)), true
}
