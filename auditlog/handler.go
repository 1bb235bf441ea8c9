package auditlog

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"shiguan/auditlog/tiles"
)

const (
	// maxPayloadCount and maxPayloadBytes bound one answer of /payload. One
	// record is always given whole, however large.
	maxPayloadCount = 4096
	maxPayloadBytes = 8 << 20
	// payloadReaders bounds how many answers of /payload are made at once.
	payloadReaders = 8
	// answerTime is how long one answer may take. Who does not read it would
	// keep others from theirs.
	answerTime = time.Minute
)

// handler serves a log over HTTP: the resources of tlog-tiles to everybody who
// mirrors or monitors, and beside them what investigators need, which is sealed
// to them. Paths have exactly one spelling; any other is 404.
type handler struct {
	log     *Log
	readers chan struct{}
	time    time.Duration // for one answer
}

// Handler serves the log's public resources (checkpoint, tile/…) and, for
// investigators, status, payload/<index> and key/<period>; FORMAT.md describes
// them. It keeps serving when the log is broken.
func (l *Log) Handler() http.Handler {
	return &handler{log: l, readers: make(chan struct{}, payloadReaders), time: answerTime}
}

// allow gives the caller the time for one answer, from now on.
func (h *handler) allow(w http.ResponseWriter) {
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(h.time)) // fails without a connection: then nobody waits
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	h.allow(w)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	// RawPath is set only when the path was not written as we would write it.
	path, ok := strings.CutPrefix(r.URL.Path, "/")
	if !ok || r.URL.RawPath != "" {
		http.NotFound(w, r)
		return
	}
	first, rest, _ := strings.Cut(path, "/")
	switch {
	case path == "checkpoint":
		h.checkpoint(w, r)
	case first == "tile":
		h.tile(w, r, path)
	case path == "status":
		h.status(w)
	case first == "payload":
		h.payload(w, r, rest)
	case first == "key":
		h.key(w, r, rest)
	default:
		http.NotFound(w, r)
	}
}

func (h *handler) checkpoint(w http.ResponseWriter, r *http.Request) {
	published := h.log.witnessing.published.Load()
	if published == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=2")
	w.Write(published.signed)
}

// tile serves what the published tree has and nothing beyond it: what lies
// beyond may still be replaced after a crash, and must not be cached for ever.
func (h *handler) tile(w http.ResponseWriter, r *http.Request, path string) {
	id, err := tiles.ParseTilePath(path)
	if err != nil || !covered(id, h.log.witnessing.witnessed.Load()) {
		http.NotFound(w, r)
		return
	}
	data, err := readExact(r.Context(), h.log.tiles, id)
	if err != nil {
		h.internal(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Write(data)
}

func (h *handler) status(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(h.log.Status())
}

// payload serves frames as they stand in the store, durable ones only.
func (h *handler) payload(w http.ResponseWriter, r *http.Request, rest string) {
	index, err := tiles.ParseSize(rest)
	count, countErr := parseCount(r)
	durable := h.log.committer.durable.Load()
	if err != nil || index >= durable {
		http.NotFound(w, r)
		return
	}
	if countErr != nil {
		http.Error(w, countErr.Error(), http.StatusBadRequest)
		return
	}
	select {
	case h.readers <- struct{}{}:
		defer func() { <-h.readers }()
		h.allow(w) // the time spent waiting was not the caller's
	case <-r.Context().Done():
		return
	}
	var body []byte
	limit := min(durable, index+min(count, maxPayloadCount))
	_, err = h.log.reader.records(r.Context(), index, limit, func(st Stored) error {
		if len(body) > 0 && len(body)+frameSize+len(st.Sealed) > maxPayloadBytes {
			return ErrStop
		}
		body = st.appendFrame(body)
		return nil
	})
	if err != nil {
		h.internal(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}

func parseCount(r *http.Request) (uint64, error) {
	const query = "want ?count=<number> or nothing"
	if r.URL.RawQuery == "" {
		return 1, nil
	}
	text, ok := strings.CutPrefix(r.URL.RawQuery, "count=")
	n, err := tiles.ParseSize(text)
	if !ok || err != nil || n == 0 {
		return 0, errors.New(query)
	}
	return n, nil
}

// key serves a period's wrapped key, which is of use to its recipients only.
func (h *handler) key(w http.ResponseWriter, r *http.Request, rest string) {
	period, err := tiles.ParseSize(rest)
	if err != nil || period > 1<<32-1 {
		http.NotFound(w, r)
		return
	}
	wrapped, err := readWrappedKey(h.log.fs, uint32(period))
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case errors.Is(err, ErrErased):
		http.Error(w, "erased", http.StatusGone)
	case errors.Is(err, ErrKeyMissing):
		http.NotFound(w, r)
	case err != nil:
		h.internal(w, r, err)
	default:
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Write(wrapped)
	}
}

func (h *handler) internal(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return
	}
	if errors.Is(err, fs.ErrNotExist) {
		http.NotFound(w, r)
		return
	}
	h.log.options.Logger.Error("audit log: cannot serve", "path", r.URL.Path, "error", err)
	http.Error(w, "the log cannot read this from its store; its operator finds the reason in the log file", http.StatusInternalServerError)
}
