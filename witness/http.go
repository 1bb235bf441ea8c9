package witness

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Handler serves the protocol: POST /add-checkpoint and GET /<hex SHA-256(origin)>/checkpoint, and of the logs that are
// mirrored tlog-tiles at /mirror/<hex SHA-256(origin)>/. It may be mounted below a prefix with http.StripPrefix. Connections are bounded by Serve; under another server that server must do it.
func (w *Witness) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", w.limited(w.callers, w.addCheckpoint))
	mux.HandleFunc("GET /{origin}/checkpoint", w.limited(w.callers, w.showCheckpoint))
	readers := newCallers(w.limits.forMirror())
	mux.HandleFunc("GET /mirror/{origin}/checkpoint", w.limited(readers, w.mirrorCheckpoint))
	mux.HandleFunc("GET /mirror/{origin}/tile/{path...}", w.limited(readers, w.mirrorTile))
	return mux
}

// limited answers callers that ask too often with 429, before anything is read for them.
func (w *Witness) limited(callers *callers, next http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		if !callers.allow(callerAddr(r), w.clock()) {
			w.metrics.limited.Inc()
			rw.Header().Set("Retry-After", "1")
			http.Error(rw, "too many requests", http.StatusTooManyRequests)
			return
		}
		next(rw, r)
	}
}

func (w *Witness) addCheckpoint(rw http.ResponseWriter, r *http.Request) {
	a := w.receive(rw, r)
	w.metrics.count(a.result)
	switch a.status {
	case http.StatusOK:
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		rw.Write(a.lines)
	case http.StatusConflict:
		rw.Header().Set("Content-Type", "text/x.tlog.size")
		rw.WriteHeader(a.status)
		io.WriteString(rw, strconv.FormatUint(a.size, 10)+"\n")
	case http.StatusServiceUnavailable:
		rw.Header().Set("Retry-After", "1")
		http.Error(rw, a.detail, a.status)
	default:
		http.Error(rw, a.detail, a.status)
	}
}

// receive reads and parses the body and has submit decide.
func (w *Witness) receive(rw http.ResponseWriter, r *http.Request) answer {
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxBody))
	if err != nil {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return refuse(http.StatusRequestEntityTooLarge, resultMalformed,
				"the body is larger than %d bytes: send only the log's own signatures", maxBody)
		}
		return refuse(http.StatusBadRequest, resultMalformed, "the body could not be read")
	}
	// Only now, so that callers who send slowly hold a connection and nothing else.
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	default:
		return refuse(http.StatusServiceUnavailable, resultBusy, "the witness is busy")
	}
	req, err := parseRequest(body)
	if err != nil {
		return refuse(http.StatusBadRequest, resultMalformed, "%v", err)
	}
	a, signed := w.submit(req)
	if signed {
		w.callers.know(callerAddr(r))
	}
	return a
}

func (w *Witness) showCheckpoint(rw http.ResponseWriter, r *http.Request) {
	l := w.logs[r.PathValue("origin")]
	if l == nil || l.shown.Load() == nil {
		http.Error(rw, "nothing was co-signed for this origin", http.StatusNotFound)
		return
	}
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	rw.Header().Set("Cache-Control", "no-cache") // a log that was rolled back learns it from here
	rw.Write(*l.shown.Load())
}

// Time that a connection may take. A request is 16 KiB at most, so whoever needs longer is not a log.
const (
	headerTimeout  = 5 * time.Second
	readTimeout    = 10 * time.Second
	writeTimeout   = 20 * time.Second // includes waiting for the origin's lock and the disk
	idleTimeout    = 2 * time.Minute
	shutdownGrace  = 5 * time.Second
	maxHeaderBytes = 8 << 10
)

// Serve serves handler, or Handler if it is nil, on l until ctx ends, with the limits on connections. It closes l.
func (w *Witness) Serve(ctx context.Context, l net.Listener, handler http.Handler) error {
	if handler == nil {
		handler = w.Handler()
	}
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          serverLog(w.logger),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(boundListener(l, w.limits)) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	// Requests in progress may have been made durable: let them be answered.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		srv.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func serverLog(logger *slog.Logger) *log.Logger {
	return slog.NewLogLogger(logger.Handler(), slog.LevelDebug)
}
