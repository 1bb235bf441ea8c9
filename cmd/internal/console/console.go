package console

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"time"

	"shiguan/cmd/internal/investigation"
	"shiguan/proxy/auth"
)

//go:embed static/console.css static/htmx.min.js static/seal.svg
var static embed.FS

// Options are what a console needs. All of them are required.
type Options struct {
	Desk   *investigation.Desk
	Auth   Authenticator
	Logger *slog.Logger
}

// Console serves the pages of one log. It is safe for concurrent use.
type Console struct {
	desk     *investigation.Desk
	auth     Authenticator
	logger   *slog.Logger
	origin   string
	sessions *sessions
	limiter  *auth.Limiter
	views    *views
}

// New returns a console for one desk.
func New(o Options) *Console {
	return &Console{
		desk: o.Desk, auth: o.Auth, logger: o.Logger, origin: o.Desk.Origin,
		sessions: newSessions(time.Now), limiter: auth.NewLimiter(guesses), views: parseViews(),
	}
}

// What pages ask for by themselves has routes of its own, so that it can be told from what a person does.
const (
	routeStatic    = "GET /static/"
	routeListPoll  = "POST /list/poll"
	routeProofPoll = "GET /records/{index}/proof"
)

// Handler returns the whole site.
func (c *Console) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", c.health)
	mux.Handle(routeStatic, http.StripPrefix("/static/", c.files()))
	mux.HandleFunc("GET /login", c.showLogin)
	mux.HandleFunc("POST /login", c.login)
	mux.HandleFunc("POST /logout", c.logout)
	mux.Handle("GET /{$}", c.loggedIn(c.showList))
	mux.Handle("POST /{$}", c.loggedIn(c.filterList))
	mux.Handle("POST /list", c.loggedIn(c.listPart))
	mux.Handle(routeListPoll, c.loggedIn(c.listPoll))
	mux.Handle("GET /records/{index}", c.loggedIn(c.showRecord))
	mux.Handle(routeProofPoll, c.loggedIn(c.proofPoll))
	mux.Handle("GET /records/{index}/evidence", c.loggedIn(c.evidence))
	mux.Handle("/", c.loggedIn(c.nothingHere))
	// Order matters: the log line wraps everything and the headers stand on refusals of the cross-origin check, too.
	return withLog(c.logger, withHeaders(http.NewCrossOriginProtection().Handler(mux)))
}

// Serve serves until ctx ends, then lets requests finish for a few seconds.
func (c *Console) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler: c.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 20 * time.Second,
		WriteTimeout: 2 * time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(c.logger.Handler(), slog.LevelWarn),
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		stopped <- server.Shutdown(grace)
	}()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

func (c *Console) files() http.Handler {
	sub, err := fs.Sub(static, "static")
	if err != nil {
		panic(err) // the name is a constant
	}
	files := http.FileServerFS(sub)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "" { // no directory listing
			http.NotFound(w, r)
			return
		}
		// The names stay when the content changes, so a browser may keep them only briefly.
		w.Header().Set("Cache-Control", "private, max-age=300")
		files.ServeHTTP(w, r)
	})
}

// health says whether the console can do its work: the log answers and its signatures hold.
func (c *Console) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if _, err := c.desk.Heads(ctx); err != nil {
		c.logger.Warn("console: not healthy", "error", err)
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte("the log cannot be read or does not hold; the console's log says why\n"))
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}
