package console

import (
	"log/slog"
	"net/http"
	"time"
)

// policy is the content security policy: three embedded files from this server, and nothing else from anywhere.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// withHeaders sets what a browser must know about every answer before it looks at it.
func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		h.Set("Cache-Control", "no-store")
		if r.TLS != nil {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

// statusWriter remembers the status for the log.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// withLog writes one line a request: the route's pattern and never the URL or a form's content, so that whatever somebody
// types into an address bar does not end up in a log file either.
func withLog(logger *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		sw := &statusWriter{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil {
				if p == http.ErrAbortHandler {
					panic(p)
				}
				logger.Error("console: a handler panicked", "route", r.Pattern, "panic", p)
				if sw.status == 0 {
					http.Error(sw, "something went wrong here; the console's log says what", http.StatusInternalServerError)
				}
			}
			// Neither the console's own files, nor a page that asked whether anything is new when nothing is.
			if r.Pattern == routeStatic && sw.status < 400 || sw.status == http.StatusNoContent {
				return
			}
			logger.Info("console: request", "route", r.Pattern, "status", sw.status, "client", r.RemoteAddr,
				"took", time.Since(began).Round(time.Microsecond))
		}()
		next.ServeHTTP(sw, r)
	})
}
