package console_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"shiguan/auditlog"
	"shiguan/auditlog/search"
	"shiguan/cmd/internal/console"
	"shiguan/cmd/internal/investigation"
	"shiguan/cmd/internal/logtest"
	"shiguan/proxy/auth"
)

const password = "correct horse battery"

// site is a console over a log of its own, and a browser that looks at it.
type site struct {
	t      *testing.T
	log    *logtest.Log
	url    string
	client *http.Client
	logged *safeBuffer // what the server logged
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func openSite(t *testing.T) *site {
	t.Helper()
	log := logtest.New(t)
	s := &site{t: t, log: log, logged: &safeBuffer{}}
	verifier, err := auth.NewVerifier(password, auth.DefaultIterations)
	if err != nil {
		t.Fatal(err)
	}
	people, err := auth.ParsePeople("people.yaml", []byte("version: 1\npeople:\n  - {user: investigator, department: discipline-inspection, "+
		"position: investigator, verifier: \""+verifier+"\"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	source, err := auditlog.OpenDir(log.LogDir)
	if err != nil {
		t.Fatal(err)
	}
	index, err := search.Open(log.Dir + "/index.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	desk := investigation.New(investigation.Options{Source: source, Opener: auditlog.NewOpener(source, log.Identities), Index: index,
		Origin: logtest.Origin, Quorum: log.Quorum, Subjects: log.Subjects, Zone: zone})
	t.Cleanup(func() { desk.Close() })
	c := console.New(console.Options{Desk: desk, Auth: people, Logger: slog.New(slog.NewTextHandler(s.logged, nil))})
	server := httptest.NewServer(c.Handler())
	t.Cleanup(server.Close)
	s.url = server.URL
	s.client = s.browser()
	return s
}

// browser is one that follows no redirects.
func (s *site) browser() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

type page struct {
	status int
	header http.Header
	body   string
}

func (s *site) do(method, path string, form url.Values, header ...string) page {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return page{resp.StatusCode, resp.Header, string(body)}
}

func (s *site) get(path string) page { s.t.Helper(); return s.do("GET", path, nil) }

func (s *site) login() {
	s.t.Helper()
	got := s.do("POST", "/login", url.Values{"user": {"investigator"}, "password": {password}})
	if got.status != http.StatusSeeOther || got.header.Get("Location") != "/" {
		s.t.Fatalf("login: %d %s", got.status, got.body)
	}
}

func (p page) mustHave(t *testing.T, what ...string) {
	t.Helper()
	for _, w := range what {
		if !strings.Contains(p.body, w) {
			t.Errorf("the page (status %d, %d bytes) has no %q", p.status, len(p.body), w)
		}
	}
}

func (p page) mustNotHave(t *testing.T, what ...string) {
	t.Helper()
	for _, w := range what {
		if strings.Contains(p.body, w) {
			t.Errorf("the page has %q", w)
		}
	}
}

var everyPage = []string{"/", "/records/1", "/records/1/proof", "/records/1/evidence", "/nowhere", "/?clear"}

func TestNothingIsShownWithoutALogin(t *testing.T) {
	s := openSite(t)
	s.log.Fill(20)
	for _, path := range everyPage {
		got := s.get(path)
		if got.status != http.StatusSeeOther || got.header.Get("Location") != "/login" || len(got.body) > 100 {
			t.Errorf("GET %s without a login: %d to %q, %d bytes", path, got.status, got.header.Get("Location"), len(got.body))
		}
	}
	for _, path := range []string{"/", "/list", "/list/poll"} {
		if got := s.do("POST", path, url.Values{}); got.status != http.StatusSeeOther {
			t.Errorf("POST %s without a login: %d", path, got.status)
		}
	}
	part := s.do("POST", "/list", url.Values{}, "HX-Request", "true")
	if part.status != http.StatusUnauthorized || part.header.Get("HX-Redirect") != "/login" || part.body != "" {
		t.Errorf("a part without a login: %d %v %q", part.status, part.header, part.body)
	}
	if got := s.do("GET", "/", nil, "Cookie", "shiguan_console=guessed"); got.status != http.StatusSeeOther {
		t.Errorf("with a guessed cookie: %d", got.status)
	}
}

func TestHealthNeedsNoLogin(t *testing.T) {
	s := openSite(t)
	s.log.Fill(5)
	if got := s.get("/healthz"); got.status != http.StatusOK || got.body != "ok\n" {
		t.Errorf("healthz: %d %q", got.status, got.body)
	}
}

func TestLoginAndLogout(t *testing.T) {
	s := openSite(t)
	s.log.Fill(5)
	got := s.do("POST", "/login", url.Values{"user": {"investigator"}, "password": {"wrong"}})
	if got.status != http.StatusUnauthorized || got.header.Get("Set-Cookie") != "" {
		t.Errorf("wrong password: %d, cookie %q", got.status, got.header.Get("Set-Cookie"))
	}
	unknown := s.do("POST", "/login", url.Values{"user": {"nobody"}, "password": {"wrong"}})
	if strings.ReplaceAll(unknown.body, "nobody", "investigator") != got.body || unknown.status != got.status {
		t.Error("an unknown user gets another answer than a wrong password")
	}
	got = s.do("POST", "/login", url.Values{"user": {"investigator"}, "password": {password}})
	cookie := got.header.Get("Set-Cookie")
	for _, attribute := range []string{"HttpOnly", "SameSite=Strict", "Path=/"} {
		if !strings.Contains(cookie, attribute) {
			t.Errorf("the session's cookie is not %s: %s", attribute, cookie)
		}
	}
	old := strings.Split(cookie, ";")[0]
	if got := s.get("/"); got.status != http.StatusOK {
		t.Fatalf("logged in: %d", got.status)
	}
	s.do("POST", "/logout", url.Values{})
	if got := s.get("/"); got.status != http.StatusSeeOther {
		t.Errorf("after logging out: %d", got.status)
	}
	if got := s.do("GET", "/", nil, "Cookie", old); got.status != http.StatusSeeOther {
		t.Errorf("the cookie lives on after logging out: %d", got.status)
	}
}

func TestGuessingPasswordsIsSlowedDown(t *testing.T) {
	s := openSite(t)
	s.log.Fill(5)
	slowed := false
	for range 30 {
		got := s.do("POST", "/login", url.Values{"user": {"investigator"}, "password": {"wrong"}})
		slowed = slowed || got.status == http.StatusTooManyRequests && got.header.Get("Retry-After") != ""
	}
	if !slowed {
		t.Error("thirty wrong passwords in a row were all tried")
	}
}

func TestOtherSitesCannotPost(t *testing.T) {
	s := openSite(t)
	s.log.Fill(5)
	s.login()
	for _, path := range []string{"/logout", "/", "/list", "/login"} {
		if got := s.do("POST", path, url.Values{}, "Sec-Fetch-Site", "cross-site"); got.status != http.StatusForbidden {
			t.Errorf("POST %s from another site: %d", path, got.status)
		}
		if got := s.do("POST", path, url.Values{}, "Origin", "https://evil.example"); got.status != http.StatusForbidden {
			t.Errorf("POST %s with another origin: %d", path, got.status)
		}
	}
	if got := s.get("/"); got.status != http.StatusOK {
		t.Errorf("still logged in: %d", got.status)
	}
}

var (
	inlineScript = regexp.MustCompile(`(?i)<script(?:>|\s+(?:[^s>]|s[^r]))|\son[a-z]+\s*=|javascript:`)
	inlineStyle  = regexp.MustCompile(`(?i)<style|\sstyle\s*=`)
	outside      = regexp.MustCompile(`(?i)(?:src|href|action)="(?:https?:)?//`)
)

func TestEveryPageHasItsHeadersAndNothingInline(t *testing.T) {
	s := openSite(t)
	s.log.Fill(30)
	check := func(path string) {
		t.Helper()
		got := s.get(path)
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
		} {
			if !strings.Contains(got.header.Get(name), want) {
				t.Errorf("%s: %s is %q, want %s", path, name, got.header.Get(name), want)
			}
		}
		if csp := got.header.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
			t.Errorf("%s: the policy has an exception: %s", path, csp)
		}
		if !strings.HasPrefix(path, "/static/") && got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be cached: %q", path, got.header.Get("Cache-Control"))
		}
		if !strings.HasPrefix(got.header.Get("Content-Type"), "text/html") {
			return
		}
		for _, forbidden := range []*regexp.Regexp{inlineScript, inlineStyle, outside} {
			if found := forbidden.FindString(got.body); found != "" {
				t.Errorf("%s has %q, which the policy blocks", path, found)
			}
		}
	}
	check("/login")
	check("/static/console.css")
	check("/healthz")
	s.login()
	for _, path := range everyPage {
		check(path)
	}
}

func TestStaticFilesAreThereAndNothingElse(t *testing.T) {
	s := openSite(t)
	for path, kind := range map[string]string{"console.css": "text/css", "htmx.min.js": "text/javascript", "seal.svg": "image/svg+xml"} {
		if got := s.get("/static/" + path); got.status != http.StatusOK || !strings.HasPrefix(got.header.Get("Content-Type"), kind) {
			t.Errorf("%s: %d %s", path, got.status, got.header.Get("Content-Type"))
		}
	}
	for _, path := range []string{"", "doc.go", "../console.go", "htmx.LICENSE"} {
		if got := s.get("/static/" + path); got.status == http.StatusOK {
			t.Errorf("/static/%s is served", path)
		}
	}
}
