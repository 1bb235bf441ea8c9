package configs

import (
	"net/url"

	"shiguan/auditlog/tiles"
)

// Witness is the configuration of `shiguan witness`, which another department runs.
type Witness struct {
	Name     string       `yaml:"name"`       // as in its key
	Listen   string       `yaml:"listen"`     // host:port for add-checkpoint and monitoring, HTTP
	Metrics  Metrics      `yaml:"metrics"`    // for Prometheus; no listen, no metrics
	Key      Path         `yaml:"key"`        // cosigning key, from `shiguan key new-witness`
	KeyMLDSA Path         `yaml:"key_ml_dsa"` // one more, ML-DSA-44, from `shiguan key new-witness --ml-dsa`; optional
	State    Path         `yaml:"state"`      // directory of the heads cosigned last; without it the witness would sign the opposite
	Mirrors  Path         `yaml:"mirrors"`    // directory of the copies of mirrored logs; below state when left out
	Logs     []WitnessLog `yaml:"logs"`       // the logs it cosigns
}

// WitnessLog is one key of a log that a witness cosigns.
type WitnessLog struct {
	Origin string `yaml:"origin"`
	VKey   string `yaml:"vkey"`   // as `shiguan key new-log` printed it
	URL    string `yaml:"url"`    // where the log serves its tiles; needed to mirror it, used for nothing else
	Mirror bool   `yaml:"mirror"` // keep a verified copy of the log's public part
}

// LoadWitness reads and checks a witness's configuration. Its error is an *Error where the file could be read.
func LoadWitness(file string) (*Witness, error) {
	c := &Witness{Listen: "127.0.0.1:8532"}
	if err := load(file, c); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Witness) check(r *reporter) {
	r.required(c.Name, "the witness's name, as in its key", "name")
	r.address(c.Listen, "listen")
	if c.Metrics.Listen != "" {
		r.address(c.Metrics.Listen, "metrics", "listen")
	}
	r.required(c.Key.String(), "the file that `shiguan key new-witness` writes", "key")
	r.required(c.State.String(), "a directory of this witness's own", "state")
	if len(c.Logs) == 0 {
		r.add("logs is missing: name at least one log to cosign", "logs")
	}
	type logKey struct{ origin, vkey string }
	seen := map[logKey]bool{}
	mirrored := map[string]string{} // by origin, where from
	for i, l := range c.Logs {
		l.check(r, i)
		key := logKey{l.Origin, l.VKey}
		if seen[key] {
			r.addf([]any{"logs", i}, "logs[%d] stands here twice: keep one", i)
		}
		seen[key] = true
		if !l.Mirror {
			continue
		}
		if other, ok := mirrored[l.Origin]; ok && other != l.URL {
			r.addf([]any{"logs", i, "url"}, "logs[%d].url: the log is mirrored from %s already: keep one address", i, other)
		}
		mirrored[l.Origin] = l.URL
	}
}

func (l WitnessLog) check(r *reporter, i int) {
	r.required(l.Origin, "the log's name", "logs", i, "origin")
	r.required(l.VKey, "the log's verifier key, as `shiguan key new-log` printed it", "logs", i, "vkey")
	l.checkURL(r, i)
	if l.Origin == "" || l.VKey == "" {
		return
	}
	key, err := tiles.NewLogVerifier(l.VKey)
	if err != nil {
		r.addf([]any{"logs", i, "vkey"}, "logs[%d].vkey: %v", i, err)
	} else if key.Name() != l.Origin {
		r.addf([]any{"logs", i, "origin"}, "logs[%d].origin: the key is that of %s, not of %s", i, key.Name(), l.Origin)
	}
}

func (l WitnessLog) checkURL(r *reporter, i int) {
	if l.URL == "" {
		if l.Mirror {
			r.required("", "where the log serves its tiles: without it nothing can be mirrored", "logs", i, "url")
		}
		return
	}
	u, err := url.Parse(l.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		r.addf([]any{"logs", i, "url"}, "logs[%d].url: %q is not the address of a log: want http://host[:port]/ or https://…", i, l.URL)
	}
}
