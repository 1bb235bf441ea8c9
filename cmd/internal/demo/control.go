package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// The control socket lets another process ask the supervisor to start a component again, so that the new process is the
// supervisor's child as the old one was. It speaks HTTP: POST /restart?name=NAME.

// listenControl opens DIR/control.sock. A socket's path may have 107 bytes; where DIR is longer, the socket stands in a
// temporary directory and DIR/control.sock is a link to it.
func listenControl(file string) (net.Listener, error) {
	if err := removeControl(file); err != nil {
		return nil, err
	}
	at := file
	if len(at) > 100 {
		dir, err := os.MkdirTemp("", "shiguan-demo-")
		if err != nil {
			return nil, err
		}
		at = filepath.Join(dir, "control.sock")
		if err := os.Symlink(at, file); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", at)
	if err != nil {
		return nil, err
	}
	return l, os.Chmod(at, 0o600)
}

// removeControl removes the socket, and the directory it stands in when that was a temporary one.
func removeControl(file string) error {
	if target, err := os.Readlink(file); err == nil && strings.HasPrefix(filepath.Base(filepath.Dir(target)), "shiguan-demo-") {
		if err := os.RemoveAll(filepath.Dir(target)); err != nil {
			return err
		}
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// controlHandler serves the socket.
func controlHandler(restart func(name string) (pid int, err error)) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /restart", func(w http.ResponseWriter, r *http.Request) {
		pid, err := restart(r.URL.Query().Get("name"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		fmt.Fprintln(w, pid)
	})
	return mux
}

// Restart asks the supervisor of the demo in dir to stop a component if it still runs and to start it again. It returns
// the new process id once the component serves.
func Restart(ctx context.Context, dir, name string) (pid string, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	socket := layout{dir: dir}.control()
	if target, err := os.Readlink(socket); err == nil {
		socket = target
	}
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://demo/restart?name="+url.QueryEscape(name), nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", fmt.Errorf("no demo answers in %s: start one with `shiguan demo --dir %s`: %w", dir, dir, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(body))
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(text)
	}
	return text, nil
}
