package tour

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"shiguan/auditlog/tiles"
	"shiguan/configs"
)

// fork plays the administrator who has the log's key and wants another history: a tree of the same size with another
// root, offered to every witness as the next head.
func (w *walker) fork() error {
	c, err := configs.LoadProxy(w.m.ProxyConfig)
	if err != nil {
		return err
	}
	skey, err := os.ReadFile(c.Log.Key.String())
	if err != nil {
		return err
	}
	signer, err := tiles.NewLogSigner(strings.TrimSpace(string(skey)))
	if err != nil {
		return err
	}
	for _, one := range w.m.Witnesses {
		size, err := w.latest(one.URL)
		if err != nil {
			return fmt.Errorf("%s: %w", one.Department, err)
		}
		forged, err := tiles.SignCheckpoint(tiles.Checkpoint{Origin: w.m.Origin, Size: size, Root: sha256.Sum256([]byte("another history"))}, signer)
		if err != nil {
			return err
		}
		if err := w.offer(one.URL, size, forged); err != nil {
			return fmt.Errorf("%s: %w", one.Department, err)
		}
	}
	return nil
}

// latest asks a witness for the size of the last head it cosigned.
func (w *walker) latest(witness string) (uint64, error) {
	sum := sha256.Sum256([]byte(w.m.Origin))
	status, body, err := w.http(http.MethodGet, strings.TrimSuffix(witness, "/")+"/"+hex.EncodeToString(sum[:])+"/checkpoint", nil)
	if err != nil {
		return 0, err
	}
	if status != http.StatusOK {
		return 0, fmt.Errorf("it has no checkpoint of this log: status %d", status)
	}
	n, err := tiles.ParseNote(body)
	if err != nil {
		return 0, err
	}
	head, err := tiles.ParseCheckpoint(n.Text)
	return head.Size, err
}

// offer submits a head as the successor of itself and wants it refused: 422 for another root at the same size, or 409
// where the honest log has grown in the meantime.
func (w *walker) offer(witness string, size uint64, forged []byte) error {
	body := append(fmt.Appendf(nil, "old %d\n\n", size), forged...)
	status, answer, err := w.http(http.MethodPost, strings.TrimSuffix(witness, "/")+"/add-checkpoint", body)
	if err != nil {
		return err
	}
	if status != http.StatusConflict && status != http.StatusUnprocessableEntity {
		return fmt.Errorf("the forged head was answered with status %d: %s", status, answer)
	}
	if bytes.Contains(answer, []byte("— ")) {
		return errors.New("a signature came back for a forged head")
	}
	return nil
}

func (w *walker) http(method, url string, body []byte) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(w.ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	client := http.Client{Timeout: 20 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	return resp.StatusCode, answer, err
}

// strangerVKey is the verifier key of a witness that nobody runs.
func strangerVKey() (string, error) {
	_, vkey, err := tiles.GenerateWitnessKey("stranger.example")
	return vkey, err
}
