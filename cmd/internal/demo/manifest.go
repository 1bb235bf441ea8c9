package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Manifest is DIR/demo.json: everything that a client of the city needs to know. It holds passwords and is readable by
// its owner only.
type Manifest struct {
	Proxy        Address        `json:"proxy"`
	Database     string         `json:"database"`
	People       []Login        `json:"people"`
	UpstreamDSN  string         `json:"upstream_dsn"` // the superuser's way past the proxy
	LogURL       string         `json:"log_url"`
	Origin       string         `json:"origin"`
	LogVKey      string         `json:"log_vkey"`
	QuorumPolicy string         `json:"quorum_policy"`
	Witnesses    []WitnessEntry `json:"witnesses"`
	ConsoleURL   string         `json:"console_url"`
	MetricsURL   string         `json:"metrics_url"`
	Config       string         `json:"config"` // what an investigator's commands take as --config
	ProxyConfig  string         `json:"proxy_config"`
	Policy       string         `json:"policy"`
	Investigator Account        `json:"investigator"`
	PIDs         map[string]int `json:"pids"`
}

// Address is a TCP address.
type Address struct {
	Host string `json:"host"`
	Port int    `json:"port"`
}

// Login is somebody who can log in at the proxy.
type Login struct {
	User       string `json:"user"`
	Password   string `json:"password"`
	Department string `json:"department"`
	Position   string `json:"position"`
}

// WitnessEntry is one witness.
type WitnessEntry struct {
	Department string `json:"department"`
	URL        string `json:"url"`
	VKey       string `json:"vkey"`
}

// Account is a login at the console.
type Account struct {
	User     string `json:"user"`
	Password string `json:"password"`
}

// Person returns the login of a user.
func (m *Manifest) Person(user string) (Login, error) {
	for _, p := range m.People {
		if p.User == user {
			return p, nil
		}
	}
	return Login{}, fmt.Errorf("nobody called %s lives in this demo", user)
}

// ReadManifest reads the demo.json of a running demo.
func ReadManifest(dir string) (*Manifest, error) {
	text, err := os.ReadFile(filepath.Join(dir, "demo.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("no demo runs in %s: start one with `shiguan demo --dir %s`", dir, dir)
	} else if err != nil {
		return nil, err
	}
	m := new(Manifest)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, "demo.json"), err)
	}
	return m, nil
}

// write replaces the file at once: a reader sees the old one or the new one, whole.
func (m *Manifest) write(file string) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(file, append(text, '\n'), 0o600)
}

// replaceFile writes beside the file and renames.
func replaceFile(file string, text []byte, mode os.FileMode) error {
	draft, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name())
	_, err = draft.Write(text)
	if err := errors.Join(err, draft.Chmod(mode), draft.Close()); err != nil {
		return err
	}
	return os.Rename(draft.Name(), file)
}
