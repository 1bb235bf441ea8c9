package proxy

import (
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/policy"
	"shiguan/proxy/auth"
	"shiguan/proxy/quota"
)

// Options is everything a proxy needs. The log is opened by the caller and closed by him after Serve has returned.
type Options struct {
	Log        *auditlog.Log
	SubjectKey *record.SubjectKey
	People     *auth.People
	PeopleFile string // digest of the file that People was read from, for the record
	Policy     *policy.Policy
	// PolicyFacts go on record before Policy is in force; Unsigned says that nobody signed it.
	PolicyFacts []record.Record
	Unsigned    bool
	// Latest is the latest time that was ever seen, which grants run out by; nil leaves that to the machine's clock.
	Latest     func(now time.Time) time.Time
	Quota      *quota.Book // of daily limits; closed by the caller after Serve has returned
	Databases  []Database
	TLS        ClientTLS
	Limits     Limits
	Loops      int // that serve the sessions; 0: one
	Witness    WitnessLag
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Version    string
}

// Limits bound what clients can cost. Zero values take the defaults of withDefaults.
type Limits struct {
	Connections     int           // sessions at once; the next one gets 53300
	PerPerson       int           // of them, of one person; 0: as many
	PerDatabase     int           // of them, in one database; 0: as many
	Unauthenticated int           // connections that have not logged in yet; one more turns the oldest out
	MessageBytes    int           // largest statement or Bind taken; a longer one gets 54000
	LoginTimeout    time.Duration // from accept to ReadyForQuery
	ConnectTimeout  time.Duration // to the server
	Idle            time.Duration // without a transaction; then 57P05. Zero: no end
	IdleInBlock     time.Duration // within one; then 25P03. Zero: no end
	Statements      int           // prepared statements and portals a session may hold
}

func (l Limits) withDefaults() Limits {
	if l.Connections == 0 {
		l.Connections = 5000
	}
	if l.Unauthenticated == 0 {
		l.Unauthenticated = 4096
	}
	if l.MessageBytes == 0 {
		l.MessageBytes = 16 << 20
	}
	if l.LoginTimeout == 0 {
		l.LoginTimeout = 30 * time.Second
	}
	if l.ConnectTimeout == 0 {
		l.ConnectTimeout = 10 * time.Second
	}
	if l.Statements == 0 {
		l.Statements = 10000
	}
	return l
}

// OnLag says what happens while records wait longer than WitnessLag.Max for their cosignatures.
type OnLag string

// What may happen while the witnesses lag.
const (
	LagWarn     OnLag = "warn"
	LagReadOnly OnLag = "read-only"
	LagStop     OnLag = "stop"
)

// WitnessLag bounds the time between durable and witnessed. Max zero means no bound.
type WitnessLag struct {
	Max time.Duration
	On  OnLag
}

// released is how many bytes of a result are held back for one record that names its persons.
const released = 64 << 10

// tune sets what a connection that carries short messages both ways needs.
func tune(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.SetNoDelay(true)
		t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 60 * time.Second, Interval: 15 * time.Second, Count: 4})
	}
}
