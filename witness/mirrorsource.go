package witness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"shiguan/auditlog/tiles"
)

const (
	mirrorTimeout   = 30 * time.Second           // a request
	mirrorPace      = rate.Limit(200)            // requests a second to one log: 51,200 entries
	maxLogNote      = 64 << 10                   // a published checkpoint with many cosignatures
	maxMirrorBundle = 256 * (2 + tiles.MaxEntry) // the largest that tlog-tiles allows
)

// errNoResource says that the log answered 404.
var errNoResource = errors.New("the log has no such resource")

// mirrorSource reads a log's tlog-tiles. It makes one request at a time, follows no redirect, and reads no more than the
// resource can be long.
type mirrorSource struct {
	base   string // without a slash at the end
	client *http.Client
	pace   *rate.Limiter
}

func newMirrorSource(address string) (*mirrorSource, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q is not the address of a log: want http://host[:port]/ or https://…", address)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression, transport.MaxConnsPerHost = true, 1
	return &mirrorSource{
		base: strings.TrimRight(address, "/"),
		client: &http.Client{Timeout: mirrorTimeout, Transport: transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		pace: rate.NewLimiter(mirrorPace, 1),
	}, nil
}

func (s *mirrorSource) close() { s.client.CloseIdleConnections() }

func (s *mirrorSource) get(ctx context.Context, path string, limit int64) ([]byte, error) {
	if err := s.pace.Wait(ctx); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+"/"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusGone:
		return nil, fmt.Errorf("%s/%s: %w", s.base, path, errNoResource)
	default:
		return nil, fmt.Errorf("%s/%s answered %d", s.base, path, resp.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", s.base, path, err)
	}
	return b, nil
}

// checkpoint returns what the log publishes.
func (s *mirrorSource) checkpoint(ctx context.Context) ([]byte, error) {
	return s.get(ctx, "checkpoint", maxLogNote)
}

// entries returns at least the first width entries of a bundle. The log publishes the bundle with the width given as
// published, which is not less; it may have grown since and have pruned that one.
func (s *mirrorSource) entries(ctx context.Context, index uint64, width, published int) ([][]byte, error) {
	b, err := s.get(ctx, tiles.EntriesPath(index, published), maxMirrorBundle)
	if errors.Is(err, errNoResource) && published < tiles.TileWidth {
		b, err = s.get(ctx, tiles.EntriesPath(index, tiles.TileWidth), maxMirrorBundle)
	}
	if err != nil {
		return nil, err
	}
	entries, err := tiles.ParseBundle(b)
	if err == nil && len(entries) < width {
		err = fmt.Errorf("%d entries, want %d", len(entries), width)
	}
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", s.base, tiles.EntriesPath(index, published), err)
	}
	return entries, nil
}
