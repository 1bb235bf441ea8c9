package configs

import "time"

// Proxy is the configuration of `shiguan proxy`.
type Proxy struct {
	Listen    string     `yaml:"listen"`    // host:port for PostgreSQL clients
	TLS       TLS        `yaml:"tls"`       // with clients
	Metrics   Metrics    `yaml:"metrics"`   // for Prometheus
	People    Path       `yaml:"people"`    // who may log in, with SCRAM verifiers; `shiguan passwd` edits it
	Policy    Path       `yaml:"policy"`    // who may do what: the department's policy
	Ceiling   Path       `yaml:"ceiling"`   // the city's policy above it; optional
	Signers   Signers    `yaml:"signers"`   // whose signatures policies need
	Grants    Grants     `yaml:"grants"`    // what officers have granted
	Log       Log        `yaml:"log"`       // this proxy's transparency log
	Witnesses Witnesses  `yaml:"witnesses"` // who co-signs it
	Databases []Database `yaml:"databases"` // what clients may connect to
	Limits    Limits     `yaml:"limits"`
	Loops     int        `yaml:"event_loops"` // that serve the sessions
}

// What clients may do about TLS.
const (
	TLSDisable = "disable" // there is none
	TLSAllow   = "allow"   // whoever asks gets it
	TLSRequire = "require" // whoever does without is refused
)

// TLS is how clients' connections are encrypted. Its files may be exchanged while the proxy runs.
type TLS struct {
	Mode        string `yaml:"mode"`        // one of the TLS words
	Certificate Path   `yaml:"certificate"` // PEM, the chain up to its authority behind it
	Key         Path   `yaml:"key"`         // PEM
	ClientCA    Path   `yaml:"client_ca"`   // PEM: the authorities of clients' certificates; empty: none are asked for
	MinVersion  string `yaml:"min_version"` // "1.2" or "1.3"
}

// Signers are the security administrators whose signatures make a policy count. Without keys policies need no signature,
// and whoever can write the file can change them.
type Signers struct {
	State      Path         `yaml:"state"` // remembers what was in force, so that nothing older comes back
	Ceiling    LevelSigners `yaml:"ceiling"`
	Department LevelSigners `yaml:"department"`
}

// LevelSigners are those of one level.
type LevelSigners struct {
	Name string   `yaml:"name"` // of the city or department, as the signed policies name it
	K    int      `yaml:"k"`    // how many must have signed
	Keys []string `yaml:"keys"` // from `shiguan key new-signer`
}

// Grants is where signed grants are put for the proxy.
type Grants struct {
	Dir Path `yaml:"dir"`
}

// Metrics is where Prometheus finds /metrics.
type Metrics struct {
	Listen string `yaml:"listen"` // host:port
}

// Log is where records go. Losing Key or Dir ends the log's life; neither can be had again from anywhere.
type Log struct {
	Dir                Path          `yaml:"dir"`
	Origin             string        `yaml:"origin"`              // the log's name for ever, as in a URL without scheme
	Key                Path          `yaml:"key"`                 // signed-note private key, from `shiguan key new-log`
	KeyMLDSA           Path          `yaml:"key_ml_dsa"`          // one more, ML-DSA-44, from `shiguan key new-log --ml-dsa`; optional
	Listen             string        `yaml:"listen"`              // host:port for tlog-tiles and investigators, HTTP
	Recipients         Path          `yaml:"recipients"`          // age recipients of the investigators
	SubjectKey         Path          `yaml:"subject_key"`         // from `shiguan key new-subject`, shared with investigators
	CheckpointInterval time.Duration `yaml:"checkpoint_interval"` // how often a new head is signed and witnessed
	SegmentSize        Size          `yaml:"segment_size"`        // bytes of a segment file before the next begins
}

// What a proxy does when no quorum has co-signed for longer than max_lag.
const (
	OnLagWarn     = "warn"      // metric and log line only
	OnLagReadOnly = "read-only" // statements that may write are refused
	OnLagStop     = "stop"      // every statement is refused
)

// Witnesses says whose cosignatures make a head count.
type Witnesses struct {
	Policy Path          `yaml:"policy"`  // C2SP tlog-policy file: log, witnesses with URLs, quorum
	MaxLag time.Duration `yaml:"max_lag"` // age of the oldest unwitnessed record that is still fine
	OnLag  string        `yaml:"on_lag"`  // one of the OnLag words
}

// Limits keep one client from taking the proxy away from the others.
type Limits struct {
	Connections     int           `yaml:"connections"`                 // logged in at the same time; more get 53300
	PerPerson       int           `yaml:"connections_per_person"`      // of these, of one person; 0: as many
	PerDatabase     int           `yaml:"connections_per_database"`    // of these, in one database; 0: as many
	Unauthenticated int           `yaml:"unauthenticated"`             // not yet logged in at the same time; one more turns the oldest out
	LoginTimeout    time.Duration `yaml:"login_timeout"`               // from the first byte to a finished login
	ConnectTimeout  time.Duration `yaml:"connect_timeout"`             // to reach the database's server
	Idle            time.Duration `yaml:"idle_timeout"`                // how long a session may do nothing; then 57P05; 0: for ever
	IdleInBlock     time.Duration `yaml:"idle_in_transaction_timeout"` // … inside a transaction; then 25P03; 0: for ever
	MessageBytes    Size          `yaml:"message_bytes"`               // the largest statement or Bind; a longer one gets 54000
	Statements      int           `yaml:"statements"`                  // prepared statements and portals a session may hold
}

// LoadProxy reads and checks a proxy's configuration. Its error is an *Error where the file could be read.
func LoadProxy(file string) (*Proxy, error) {
	c := defaultProxy()
	if err := load(file, c); err != nil {
		return nil, err
	}
	return c, nil
}

func defaultProxy() *Proxy {
	return &Proxy{
		Listen:    "127.0.0.1:6432",
		TLS:       TLS{Mode: TLSDisable, MinVersion: "1.2"},
		Metrics:   Metrics{Listen: "127.0.0.1:9432"},
		Log:       Log{Listen: "127.0.0.1:8432", CheckpointInterval: time.Second, SegmentSize: 64 << 20},
		Witnesses: Witnesses{MaxLag: time.Minute, OnLag: OnLagWarn},
		Loops:     1,
		Limits: Limits{Connections: 5000, Unauthenticated: 4096, LoginTimeout: 30 * time.Second,
			ConnectTimeout: 10 * time.Second, MessageBytes: 16 << 20, Statements: 10000},
	}
}

func (c *Proxy) check(r *reporter) {
	r.address(c.Listen, "listen")
	c.TLS.check(r)
	r.address(c.Metrics.Listen, "metrics", "listen")
	r.required(c.People.String(), "the file that `shiguan passwd` writes", "people")
	r.required(c.Policy.String(), "the policy file", "policy")
	c.checkSigners(r)
	c.Log.check(r)
	c.Witnesses.check(r)
	c.checkDatabases(r)
	positive(r, c.Loops, "event_loops")
	positive(r, c.Limits.Connections, "limits", "connections")
	notNegative(r, c.Limits.PerPerson, "limits", "connections_per_person")
	notNegative(r, c.Limits.PerDatabase, "limits", "connections_per_database")
	positive(r, c.Limits.Unauthenticated, "limits", "unauthenticated")
	positive(r, c.Limits.LoginTimeout, "limits", "login_timeout")
	positive(r, c.Limits.ConnectTimeout, "limits", "connect_timeout")
	notNegative(r, c.Limits.Idle, "limits", "idle_timeout")
	notNegative(r, c.Limits.IdleInBlock, "limits", "idle_in_transaction_timeout")
	positive(r, c.Limits.MessageBytes, "limits", "message_bytes")
	positive(r, c.Limits.Statements, "limits", "statements")
}

func (t *TLS) check(r *reporter) {
	switch t.Mode {
	case TLSDisable:
	case TLSAllow, TLSRequire:
		r.required(t.Certificate.String(), "the certificate to show to clients", "tls", "certificate")
		r.required(t.Key.String(), "the certificate's private key", "tls", "key")
	default:
		r.addf([]any{"tls", "mode"}, "tls.mode: %q is none of %s, %s, %s", t.Mode, TLSDisable, TLSAllow, TLSRequire)
	}
	if t.MinVersion != "1.2" && t.MinVersion != "1.3" {
		r.addf([]any{"tls", "min_version"}, `tls.min_version: %q is neither "1.2" nor "1.3"`, t.MinVersion)
	}
}

func (c *Proxy) checkSigners(r *reporter) {
	s := &c.Signers
	s.Department.check(r, "department")
	s.Ceiling.check(r, "ceiling")
	signed := len(s.Department.Keys) > 0
	switch {
	case c.Ceiling == "" && len(s.Ceiling.Keys) > 0:
		r.add("signers.ceiling names keys, and there is no ceiling: name its file, or remove them", "signers", "ceiling")
	case c.Ceiling != "" && signed != (len(s.Ceiling.Keys) > 0):
		r.add("signers: name keys for both levels, or for none: where one can be changed by anybody, the other does not help", "signers")
	}
	if (signed || c.Grants.Dir != "") && s.State == "" {
		r.add("signers.state is missing: a file in which the proxy remembers what was in force", "signers", "state")
	}
}

func (s *LevelSigners) check(r *reporter, level string) {
	if len(s.Keys) == 0 {
		return
	}
	r.required(s.Name, "the city's or department's name, as its policies are signed for", "signers", level, "name")
	if s.K < 1 || s.K > len(s.Keys) {
		r.addf([]any{"signers", level, "k"}, "signers.%s.k must be 1 to %d, the number of keys", level, len(s.Keys))
	}
}

func (l *Log) check(r *reporter) {
	r.required(l.Dir.String(), "the directory of the log", "log", "dir")
	r.required(l.Origin, "the log's name, such as audit.example.gov.cn/civil-affairs", "log", "origin")
	r.required(l.Key.String(), "the file that `shiguan key new-log` writes", "log", "key")
	r.address(l.Listen, "log", "listen")
	r.required(l.Recipients.String(), "the investigators' age recipients, from `shiguan key new-identity`", "log", "recipients")
	r.required(l.SubjectKey.String(), "the file that `shiguan key new-subject` writes", "log", "subject_key")
	positive(r, l.CheckpointInterval, "log", "checkpoint_interval")
	positive(r, l.SegmentSize, "log", "segment_size")
}

func (w *Witnesses) check(r *reporter) {
	r.required(w.Policy.String(), "the quorum policy, in C2SP tlog-policy form", "witnesses", "policy")
	positive(r, w.MaxLag, "witnesses", "max_lag")
	switch w.OnLag {
	case OnLagWarn, OnLagReadOnly, OnLagStop:
	default:
		r.addf([]any{"witnesses", "on_lag"}, "witnesses.on_lag: %q is none of %s, %s, %s", w.OnLag, OnLagWarn, OnLagReadOnly, OnLagStop)
	}
}
