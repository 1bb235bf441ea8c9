package auditlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"shiguan/auditlog/record"
	"shiguan/auditlog/tiles"
)

// urlSource reads a log over the Handler of the process that writes it.
type urlSource struct {
	base   string // without a slash at the end
	client *http.Client
}

// maxSmall bounds every answer except records.
const maxSmall = 1 << 20

// OpenURL returns the log at a URL as a Source. client may be nil for one with
// a timeout of a minute.
func OpenURL(address string, client *http.Client) (Source, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q is not the address of a log: want http://host[:port]/ or https://…", address)
	}
	if client == nil {
		client = &http.Client{Timeout: time.Minute}
	}
	return &urlSource{base: strings.TrimRight(address, "/"), client: client}, nil
}

// statusError is an answer other than 200.
type statusError struct {
	url  string
	code int
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s answered %d %s", e.url, e.code, http.StatusText(e.code))
}

func isStatus(err error, code int) bool {
	var s *statusError
	return errors.As(err, &s) && s.code == code
}

// open asks for a resource and returns the body of a 200.
func (u *urlSource) open(ctx context.Context, path string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.base+"/"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := u.do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		io.Copy(io.Discard, io.LimitReader(resp.Body, maxSmall))
		resp.Body.Close()
		return nil, &statusError{u.base + "/" + path, resp.StatusCode}
	}
	return resp.Body, nil
}

// patience is how often a server may say that it is asked too often.
const patience = 10

// do asks, and asks again after a pause where the server wants one.
func (u *urlSource) do(req *http.Request) (*http.Response, error) {
	for again := 0; ; again++ {
		resp, err := u.client.Do(req)
		if err != nil || resp.StatusCode != http.StatusTooManyRequests || again == patience {
			return resp, err
		}
		io.Copy(io.Discard, io.LimitReader(resp.Body, maxSmall))
		resp.Body.Close()
		select {
		case <-time.After(time.Second):
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
}

func (u *urlSource) get(ctx context.Context, path string) ([]byte, error) {
	body, err := u.open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, maxSmall+1))
	if err == nil && len(b) > maxSmall {
		err = errors.New("more than a log says there")
	}
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", u.base, path, err)
	}
	return b, nil
}

// Status implements Source.
func (u *urlSource) Status(ctx context.Context) (s Status, err error) {
	b, err := u.get(ctx, "status")
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("%s/status: %w", u.base, err)
	}
	return s, nil
}

// Checkpoint implements Source.
func (u *urlSource) Checkpoint(ctx context.Context) ([]byte, error) {
	b, err := u.get(ctx, checkpointFile)
	if isStatus(err, http.StatusNotFound) {
		return nil, ErrNotPublished
	}
	return b, err
}

// Head implements Source.
func (u *urlSource) Head(ctx context.Context) ([]byte, error) {
	s, err := u.Status(ctx)
	if err == nil && s.Head == "" {
		err = ErrNotPublished
	}
	return []byte(s.Head), err
}

// Records implements Source.
func (u *urlSource) Records(ctx context.Context, from uint64, fn func(Stored) error) error {
	s, err := u.Status(ctx)
	if err != nil {
		return err
	}
	// Who wants one record stops at the first: pages begin small, and soon are as large as the log gives them.
	for ask := uint64(1); from < s.Durable; ask = min(16*ask, maxPayloadCount) {
		next, err := u.page(ctx, from, min(ask, s.Durable-from), fn)
		if errors.Is(err, ErrStop) {
			return nil
		}
		if err != nil {
			return err
		}
		if next == from {
			return fmt.Errorf("%s says it has %d records and gives none from %d on", u.base, s.Durable, from)
		}
		from = next
	}
	return nil
}

// page asks for at most maxPayloadCount records once; the log gives as many of them as it likes, at least one.
func (u *urlSource) page(ctx context.Context, from, count uint64, fn func(Stored) error) (uint64, error) {
	path := "payload/" + strconv.FormatUint(from, 10) + "?count=" + strconv.FormatUint(count, 10)
	body, err := u.open(ctx, path)
	if err != nil {
		return from, err
	}
	defer body.Close()
	for range count {
		st, err := readFrame(body, from)
		if err == io.EOF {
			break
		}
		if err != nil {
			return from, fmt.Errorf("%s/%s, record %d: %w", u.base, path, from, err)
		}
		if err := fn(st); err != nil {
			return from, err
		}
		from++
	}
	return from, nil
}

// readFrame reads one frame from a stream; io.EOF if it ends before one.
func readFrame(r io.Reader, index uint64) (Stored, error) {
	head := make([]byte, headerSize)
	if _, err := io.ReadFull(r, head); err != nil {
		return Stored{}, err
	}
	h := parseHeader(head)
	if h.index != index || h.length < record.LeafSize || h.length > maxLength {
		return Stored{}, fmt.Errorf("not a record of that index: it says index %d, %d bytes", h.index, h.length)
	}
	// Not allocated on the header's word alone: as it comes.
	frame, err := io.ReadAll(io.LimitReader(r, int64(h.length)))
	if err != nil {
		return Stored{}, err
	}
	if len(frame) < int(h.length) {
		return Stored{}, io.ErrUnexpectedEOF
	}
	st, _, err := checkFrame(append(head, frame...))
	return st, err
}

// ReadTile implements tiles.Reader.
func (u *urlSource) ReadTile(ctx context.Context, level, index uint64, width int) ([]byte, error) {
	return readHashTile(ctx, u, level, index, width)
}

func (u *urlSource) readResource(ctx context.Context, id tiles.TileID) ([]byte, error) {
	b, err := u.get(ctx, id.Path())
	if isStatus(err, http.StatusNotFound) && id.Width < tiles.TileWidth {
		id.Width = tiles.TileWidth
		if full, fullErr := u.get(ctx, id.Path()); fullErr == nil {
			return full, nil
		}
	}
	return b, err
}

// WrappedKey implements Source.
func (u *urlSource) WrappedKey(ctx context.Context, period uint32) ([]byte, error) {
	b, err := u.get(ctx, "key/"+strconv.FormatUint(uint64(period), 10))
	switch {
	case isStatus(err, http.StatusGone):
		return nil, ErrErased
	case isStatus(err, http.StatusNotFound):
		return nil, ErrKeyMissing
	}
	return b, err
}
