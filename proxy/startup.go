package proxy

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"shiguan/auditlog/record"
	"shiguan/proxy/auth"
	"shiguan/proxy/session"
	"shiguan/proxy/wire"
)

// greet takes a connection from its first byte to a session, or to a refusal.
func (s *Server) greet(nc net.Conn, leave func()) {
	defer func() {
		if fault := recover(); fault != nil { // in a login: a session has guards of its own
			s.log.Error("a fault of the proxy ended a login", "fault", fault, "stack", string(debug.Stack()))
			leave()
			nc.Close()
		}
	}()
	tune(nc)
	nc.SetDeadline(time.Now().Add(s.limits.LoginTimeout))
	l := newLink(nc)
	c, refusal := s.login(l)
	leave()
	if refusal != nil {
		refusal.Severity = "FATAL"
		s.metrics.fatal(refusal.Code)
		l.Write(wire.AppendError(nil, refusal)) // it leaves either way
		l.CloseWrite()
	}
	if c == nil {
		l.Close()
		return
	}
	nc.SetDeadline(time.Time{})
	c.run()
	s.forget(c)
}

// login does everything before ReadyForQuery. It returns neither session nor refusal when there is nobody to talk to.
func (s *Server) login(nc *link) (*conn, *wire.Error) {
	start, err := s.readStartup(nc)
	if start == nil {
		return nil, refusalOf(err)
	}
	if nc.secure == nil && s.opt.TLS.Mode == TLSRequire {
		return nil, errPlaintext()
	}
	asked, refusal := readParams(*start)
	if refusal != nil {
		return nil, refusal
	}
	if asked.refused != nil && !s.policy.Load().Observes() {
		return nil, asked.refused
	}
	if start.Version != wire.Version30 || len(asked.unknown) > 0 {
		if _, err := nc.Write(wire.AppendNegotiateProtocolVersion(nil, wire.Version30, asked.unknown...)); err != nil {
			return nil, nil
		}
	}
	if s.refusing.Load() {
		s.metrics.unrecorded.Inc()
		return nil, errUnrecorded()
	}
	person, reader, refusal := s.authenticate(nc, asked)
	if refusal != nil && asked.reason == "" {
		return nil, refusal // nobody tried a password: the metric counts it, and a flood of it cannot fill the log
	}
	if refusal != nil {
		return nil, s.recordRefused(nc, asked, refusal)
	}
	if reader == nil {
		return nil, nil
	}
	return s.openSession(nc, reader, person, asked)
}

// refusalOf is what a peer that broke the protocol is told; to one that left or stalled nothing is said.
func refusalOf(err error) *wire.Error {
	var violation *wire.ProtocolError
	if errors.As(err, &violation) {
		return &wire.Error{Code: violation.Code, Message: violation.Message}
	}
	return nil
}

// recordRefused puts a login that failed on record before the client hears of it.
func (s *Server) recordRefused(nc *link, asked *params, refusal *wire.Error) *wire.Error {
	err := s.note(record.KindLoginRefused, func(r *record.Record) {
		r.Person, r.Database, r.Application = asked.user, asked.database, asked.application
		r.Client, r.Reason, r.Auth = nc.RemoteAddr().String(), cmp.Or(asked.reason, refusal.Message), cmp.Or(asked.auth, "scram-sha-256")
		r.TLS, r.Detail = nc.version(), nc.certified()
	})
	if err != nil {
		s.logFailed(err)
		return errUnrecorded()
	}
	return refusal
}

func errUnrecorded() *wire.Error {
	return &wire.Error{Code: "58030", Message: "the audit log cannot be written: nobody is served",
		Hint: "Tell the system administrator: the log's disk is full or failing."}
}

// openSession connects upstream and puts the session on record before the client is let in.
func (s *Server) openSession(nc *link, reader *wire.Reader, person auth.Person, asked *params) (*conn, *wire.Error) {
	db := s.databases[asked.database]
	if db == nil || !person.MayUse(asked.database) {
		return nil, s.recordRefused(nc, asked, &wire.Error{Code: "3D000", Message: "database \"" + asked.database + "\" does not exist"})
	}
	if person.Role == "" {
		return nil, s.recordRefused(nc, asked, &wire.Error{Code: "28000", Message: "this person has no role in the databases"})
	}
	if asked.refused != nil && !s.observes(person, asked) {
		return nil, s.recordRefused(nc, asked, asked.refused)
	}
	if !s.reserve() {
		return nil, s.recordRefused(nc, asked, &wire.Error{Code: "53300", Message: "sorry, too many clients already"})
	}
	c := &conn{
		srv: s, client: nc, fromClient: reader, person: person, db: db, purpose: session.NewSetting(asked.purpose),
		address: nc.RemoteAddr().String(), application: asked.application,
		statements: session.NewNames[*prepared](), portals: session.NewNames[*portal](), cursors: session.NewNames[cursor](),
		hasher: s.opt.SubjectKey.Hasher(), pins: s.opt.SubjectKey.Hasher(), ended: make(chan struct{}),
	}
	c.fateSet.L = &c.fateMu
	if asked.refused != nil {
		c.observed.Store(true)
		c.astray = true
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.id = randomID()
	c.log = s.log.With("session", c.id)
	statuses, err := c.dial(asked)
	if err != nil {
		s.release()
		s.log.Error("the database server cannot be reached", "database", db.Name, "role", person.Role, "err", err)
		return nil, s.recordRefused(nc, asked, unreachable(err))
	}
	if refusal := c.letIn(asked, statuses); refusal != nil {
		c.upstream.Close()
		c.cancel()
		if !s.forget(c) {
			s.release()
		}
		return nil, refusal
	}
	return c, nil
}

// unreachable is what a client is told whose session cannot be opened: what will pass by itself is called by its name, and
// of everything else the operator alone hears more.
func unreachable(err error) *wire.Error {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		switch said.Code {
		case "57P03": // starting up, shutting down, recovering
			return &wire.Error{Code: said.Code, Message: said.Message}
		case "53300":
			return &wire.Error{Code: said.Code, Message: "sorry, too many clients already"}
		}
	}
	return &wire.Error{Code: "08001", Message: "the proxy cannot reach the database"}
}

// letIn records the session and tells the client that it is in.
func (c *conn) letIn(asked *params, statuses []wire.Param) *wire.Error {
	c.trail.log = c.srv.opt.Log
	c.trail.who = record.Record{
		Session: c.id, Person: c.person.User, Department: c.person.Department, Position: c.person.Position,
		Role: c.person.Role, Database: c.db.Name, Client: c.address, Application: c.application,
	}
	receipt, err := c.trail.fact(record.KindSessionOpened, func(r *record.Record) {
		r.Auth, r.Purpose, r.Version = asked.auth, c.purpose.Value(), c.srv.opt.Version
		r.TLS, r.Detail = c.client.version(), c.client.certified()
		if r.Detail == nil {
			r.Detail = map[string]string{}
		}
		r.Detail["backend"] = strconv.FormatUint(uint64(c.serverPID), 10) // as the server's own log calls the session
	})
	if err != nil {
		c.srv.logFailed(err)
		return errUnrecorded()
	}
	c.toClient.conn, c.toServer.conn = c.client, c.upstream
	c.srv.enlist(c)
	var b []byte
	if asked.final != nil {
		b = wire.AppendAuthenticationSASLFinal(b, asked.final)
	}
	b = wire.AppendAuthenticationOk(b)
	for _, p := range statuses {
		b = wire.AppendParameterStatus(b, p.Name, p.Value)
	}
	b = wire.AppendBackendKeyData(b, c.key.pid, c.key.secret[:])
	b = wire.AppendReadyForQuery(b, wire.TxIdle)
	c.toClient.put(b, receipt)
	if err := c.toClient.flush(); err != nil {
		var broken *logError
		if errors.As(err, &broken) {
			c.srv.logFailed(err)
			return errUnrecorded()
		}
		c.trail.close("client disconnected")
		return &wire.Error{Code: "08006", Message: "connection failed"}
	}
	return nil
}

func randomID() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// cancelKey is what a client must show to cancel, ours and not the server's.
type cancelKey struct {
	pid    uint32
	secret [4]byte
}

// reserve takes a place among the sessions, before the server is asked for one.
func (s *Server) reserve() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining || len(s.sessions)+s.reserved >= s.limits.Connections {
		return false
	}
	s.reserved++
	return true
}

func (s *Server) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reserved--
}

// enlist turns a reserved place into a session and gives it a cancel key: the server's own number of the session, by which
// clients may ask the server about themselves, unless a session at another server has it, and a secret of ours.
func (s *Server) enlist(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rand.Read(c.key.secret[:])
	for c.key.pid = c.serverPID; s.keys[c.key.pid] != nil || c.key.pid == 0; {
		var b [4]byte
		rand.Read(b[:])
		c.key.pid = binary.BigEndian.Uint32(b[:]) >> 1 // clients read it as a signed number
	}
	s.keys[c.key.pid] = c
	s.sessions[c] = struct{}{}
	s.reserved--
}

// forget strikes a session off; it reports whether it was there.
func (s *Server) forget(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.sessions[c]
	if ok {
		delete(s.sessions, c)
		delete(s.keys, c.key.pid)
	}
	return ok
}
