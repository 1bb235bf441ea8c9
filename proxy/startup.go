package proxy

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"shiguan/auditlog"
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
	in, refusal := s.login(l)
	leave()
	if refusal != nil {
		refusal.Severity = "FATAL"
		s.metrics.fatal(refusal.Code)
		l.Write(wire.AppendError(nil, refusal)) // it leaves either way
		l.CloseWrite()
	}
	if !in {
		l.Close()
	}
}

// login does everything before ReadyForQuery. The client is then in, and with one of the loops, or refused, or has left.
func (s *Server) login(nc *link) (in bool, refusal *wire.Error) {
	start, err := s.readStartup(nc)
	if start == nil {
		return false, refusalOf(err)
	}
	if nc.secure == nil && s.opt.TLS.Mode == TLSRequire {
		return false, errPlaintext()
	}
	asked, refusal := readParams(*start)
	if refusal != nil {
		return false, refusal
	}
	if asked.refused != nil && !s.policy.Load().Observes() {
		return false, asked.refused
	}
	asked.version = negotiated(start.Version)
	if start.Version != asked.version || len(asked.unknown) > 0 {
		if _, err := nc.Write(wire.AppendNegotiateProtocolVersion(nil, asked.version, asked.unknown...)); err != nil {
			return false, nil
		}
	}
	if s.refusing.Load() {
		s.metrics.unrecorded.Inc()
		return false, errUnrecorded()
	}
	person, ok, refusal := s.authenticate(nc, asked)
	if refusal != nil && asked.reason == "" {
		return false, refusal // nobody tried a password: the metric counts it, and a flood of it cannot fill the log
	}
	if refusal != nil {
		return false, s.recordRefused(nc, asked, refusal)
	}
	if !ok {
		return false, nil
	}
	refusal = s.openSession(nc, person, asked)
	return refusal == nil, refusal
}

// negotiated is the version of the protocol that is spoken with a client who asks for one: as in PostgreSQL 18 his own, up to
// 3.2, though nobody ever defined 3.1.
func negotiated(asked uint32) uint32 { return min(asked, wire.Version32) }

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

// openSession connects upstream, puts the session on record and hands it over to a loop, which lets the client in.
func (s *Server) openSession(client *link, person auth.Person, asked *params) *wire.Error {
	db := s.databases[asked.database]
	if db == nil || !person.MayUse(asked.database) {
		return s.recordRefused(client, asked, &wire.Error{Code: "3D000", Message: "database \"" + asked.database + "\" does not exist"})
	}
	if person.Role == "" {
		return s.recordRefused(client, asked, &wire.Error{Code: "28000", Message: "this person has no role in the databases"})
	}
	if asked.refused != nil && !s.observes(person, asked) {
		return s.recordRefused(client, asked, asked.refused)
	}
	if full := s.reserve(person.User, db.Name); full != "" {
		return s.recordRefused(client, asked, &wire.Error{Code: "53300", Message: full})
	}
	c := &conn{
		srv: s, loop: s.loops[s.next.Add(1)%uint32(len(s.loops))], client: client, person: person, db: db,
		purpose: session.NewSetting(asked.purpose),
		address: client.RemoteAddr().String(), application: asked.application, id: randomID(),
		statements: session.NewNames[*prepared](), portals: session.NewNames[*portal](), cursors: session.NewNames[cursor](),
		hasher: s.opt.SubjectKey.Hasher(), pins: s.opt.SubjectKey.Hasher(),
	}
	if asked.refused != nil {
		c.observed, c.astray = true, true
	}
	c.log = s.log.With("session", c.id)
	statuses, err := c.dial(asked)
	if err != nil {
		s.release(person.User, db.Name)
		s.log.Error("the database server cannot be reached", "database", db.Name, "role", person.Role, "err", err)
		return s.recordRefused(client, asked, unreachable(err))
	}
	refusal := c.letIn(asked, statuses)
	if refusal != nil {
		c.upstream.Close()
		s.release(person.User, db.Name)
	}
	return refusal
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

// letIn puts the session on record and hands it over, with what its client is to be told first.
func (c *conn) letIn(asked *params, statuses []wire.Param) *wire.Error {
	c.trail.log, c.trail.appended = c.srv.opt.Log, func(auditlog.Receipt) {}
	c.trail.who = record.Record{
		Session: c.id, Person: c.person.User, Department: c.person.Department, Position: c.person.Position,
		Role: c.person.Role, Database: c.db.Name, Client: c.address, Application: c.application,
	}
	_, err := c.trail.fact(record.KindSessionOpened, func(r *record.Record) {
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
	err = c.handOver(asked.version, func() []byte {
		var b []byte
		if asked.final != nil {
			b = wire.AppendAuthenticationSASLFinal(b, asked.final)
		}
		b = wire.AppendAuthenticationOk(b)
		for _, p := range statuses {
			b = wire.AppendParameterStatus(b, p.Name, p.Value)
		}
		b = wire.AppendBackendKeyData(b, c.key.pid, c.key.secret)
		return wire.AppendReadyForQuery(b, wire.TxIdle)
	})
	if err != nil {
		c.log.Error("a connection cannot be handed over", "err", err)
		c.trail.close("fault of the proxy")
		return &wire.Error{Code: "08006", Message: "connection failed"}
	}
	return nil
}

// handOver gives a session that has logged in to its loop, which owns it from now on.
func (c *conn) handOver(version uint32, greeting func() []byte) error {
	if err := c.client.enter(); err != nil {
		return err
	}
	if err := c.upstream.enter(); err != nil {
		return err
	}
	c.toClient.to, c.fromClient = c.client, wire.NewReader(c.client, c.srv.limits.MessageBytes)
	c.toServer.to, c.fromServer = c.upstream, wire.NewReader(c.upstream, c.srv.limits.MessageBytes)
	c.fromClient.Accept(wire.ClientTypes)
	c.trail.appended = c.loop.append
	c.srv.enlist(c, version)
	first := greeting()
	c.loop.post(func() { c.loop.adopt(c, first) })
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
	secret []byte // 4 bytes in protocol 3.0, 32 in 3.2
}

// enlist turns a reserved place into a session and gives it a cancel key: the server's own number of the session, by which
// clients may ask the server about themselves, unless a session at another server has it, and a secret of ours.
func (s *Server) enlist(c *conn, version uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.key.secret = make([]byte, 4)
	if version >= wire.Version32 {
		c.key.secret = make([]byte, 32)
	}
	rand.Read(c.key.secret)
	for c.key.pid = c.serverPID; s.keys[c.key.pid] != nil || c.key.pid == 0; {
		var b [4]byte
		rand.Read(b[:])
		c.key.pid = binary.BigEndian.Uint32(b[:]) >> 1 // clients read it as a signed number
	}
	s.keys[c.key.pid] = c
	s.sessions[c] = struct{}{}
}

// forget strikes a session off.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, c)
	delete(s.keys, c.key.pid)
	s.places.give(c.person.User, c.db.Name)
}
