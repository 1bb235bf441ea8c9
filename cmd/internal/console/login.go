package console

import (
	"net/http"
	"net/netip"
	"strings"
	"time"

	"shiguan/proxy/auth"
)

// Authenticator decides whether a password is the investigator's. It MUST take the same time for a user it does not know as
// for one it knows, and MUST be safe for concurrent use.
type Authenticator interface {
	Authenticate(user, password string) bool
}

const maxForm = 16 << 10

// guesses bounds wrong passwords. The console is reached over loopback, so nearly always they all come from one address.
var guesses = auth.LimiterOptions{Burst: 8, Every: 4 * time.Second}

// loginPage is what the form's template shows.
type loginPage struct {
	Title, Origin, User, Message string
}

func (c *Console) showLogin(w http.ResponseWriter, r *http.Request) {
	if _, ok := c.sessions.of(r); ok {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	c.render(w, r, http.StatusOK, "login.html", loginPage{Title: "Log in", Origin: c.origin})
}

func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		c.render(w, r, http.StatusBadRequest, "login.html", loginPage{Title: "Log in", Origin: c.origin, Message: "That form could not be read. Try again."})
		return
	}
	user, password := strings.TrimSpace(r.PostForm.Get("user")), r.PostForm.Get("password")
	page := loginPage{Title: "Log in", Origin: c.origin, User: user}
	if len(user) > 128 || len(password) > 1024 {
		page.User, page.Message = "", "User name and password do not match."
		c.render(w, r, http.StatusUnauthorized, "login.html", page)
		return
	}
	attempt, ok := c.limiter.Begin(source(r))
	if !ok {
		w.Header().Set("Retry-After", "5")
		page.Message = "Too many wrong passwords. Wait a few seconds, then try again."
		c.logger.Warn("console: login attempts slowed down", "client", r.RemoteAddr)
		c.render(w, r, http.StatusTooManyRequests, "login.html", page)
		return
	}
	ok = c.auth.Authenticate(user, password)
	attempt.End(!ok)
	if !ok {
		c.logger.Warn("console: login refused", "client", r.RemoteAddr)
		page.Message = "User name and password do not match."
		c.render(w, r, http.StatusUnauthorized, "login.html", page)
		return
	}
	c.sessions.open(w, r, user)
	c.logger.Info("console: logged in", "user", user, "client", r.RemoteAddr)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// source is the address a request comes from; the zero address where there is none.
func source(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr()
}

func (c *Console) logout(w http.ResponseWriter, r *http.Request) {
	c.sessions.close(w, r)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// loggedIn lets only logged-in investigators through; others are shown the way to the login page.
func (c *Console) loggedIn(next func(http.ResponseWriter, *http.Request, session)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one, ok := c.sessions.of(r)
		switch {
		case ok:
			next(w, r, one)
		case r.Header.Get("HX-Request") == "true":
			// A part of a page cannot be redirected: htmx would put the login form into the table.
			w.Header().Set("HX-Redirect", "/login")
			w.WriteHeader(http.StatusUnauthorized)
		default:
			http.Redirect(w, r, "/login", http.StatusSeeOther)
		}
	})
}
