package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"shiguan/auditlog/record"
	"shiguan/policy"
	"shiguan/proxy/auth"
)

// Server accepts clients and serves their sessions.
type Server struct {
	opt       Options
	limits    Limits
	log       *slog.Logger
	metrics   *metrics
	policy    atomic.Pointer[policy.Policy]
	people    atomic.Pointer[auth.People]
	logins    *auth.Limiter
	databases map[string]*database
	lagging   atomic.Int32
	refusing  atomic.Bool // the log is broken: nobody is served any more

	lobby lobby // who has not logged in
	loops []*loop
	next  atomic.Uint32 // of loops, for the next session

	mu       sync.Mutex
	sessions map[*conn]struct{}
	keys     map[uint32]*conn // by the process ID we gave out
	places   places
	draining bool

	wg sync.WaitGroup
}

// Values of Server.lagging.
const (
	lagNone int32 = iota
	lagReadOnly
	lagStop
)

// New checks the options and puts the start and the policy on record.
func New(o Options) (*Server, error) {
	if o.Log == nil || o.SubjectKey == nil || o.People == nil || o.Policy == nil || o.Quota == nil {
		return nil, errors.New("proxy: log, subject key, people, policy and quota are required")
	}
	if err := o.TLS.check(); err != nil {
		return nil, err
	}
	s := &Server{
		opt: o, limits: o.Limits.withDefaults(), log: o.Logger, databases: map[string]*database{},
		sessions: map[*conn]struct{}{}, keys: map[uint32]*conn{}, places: newPlaces(), logins: auth.NewLimiter(auth.LimiterOptions{}),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.opt.Loops = max(s.opt.Loops, 1)
	s.lobby.max = s.limits.Unauthenticated
	s.setPeople(o.People)
	for _, d := range o.Databases {
		if s.databases[d.Name] != nil {
			return nil, fmt.Errorf("proxy: database %s is configured twice", d.Name)
		}
		if err := d.check(); err != nil {
			return nil, err
		}
		s.databases[d.Name] = newDatabase(d, s.limits.ConnectTimeout, s.log)
	}
	s.metrics = newMetrics(s, o.Registerer, o.Version)
	err := s.note(record.KindStarted, func(r *record.Record) {
		r.Version = o.Version
		if o.PeopleFile != "" { // who may change it could give himself another's name, and restart the proxy
			r.Detail = map[string]string{"people": o.PeopleFile}
		}
	})
	if err != nil {
		return nil, err
	}
	return s, s.Enforce(o.Policy, o.PolicyFacts...)
}

// note puts a fact that belongs to no session on record and waits until it is durable.
func (s *Server) note(kind record.Kind, fill func(*record.Record)) error {
	r := record.Record{Kind: kind, Time: time.Now()}
	fill(&r)
	payload, err := r.Append(nil)
	if err != nil {
		return err
	}
	receipt, err := s.opt.Log.Append(kind, r.Time, payload)
	if err != nil {
		return err
	}
	return receipt.Wait()
}

// Enforce puts facts about a policy on record, and then the policy in force. Sessions under way are decided anew from
// their next message on.
func (s *Server) Enforce(p *policy.Policy, facts ...record.Record) error {
	if err := s.Record(facts...); err != nil {
		return err
	}
	secret := s.opt.SubjectKey.Hasher().SubjectString("pseudonyms of masked values", "")
	s.policy.Store(p.Keyed(secret[:]))
	return nil
}

func (s *Server) latest(now time.Time) time.Time {
	if s.opt.Latest == nil {
		return now
	}
	return s.opt.Latest(now)
}

// Record puts facts that belong to no session on record and waits until they are durable. Their time is now.
func (s *Server) Record(facts ...record.Record) error {
	for i := range facts {
		switch facts[i].Kind {
		case record.KindPolicyRefused, record.KindGrantRefused:
			s.metrics.refusedFiles.WithLabelValues(facts[i].Kind.String()).Inc()
		}
		if err := s.note(facts[i].Kind, func(r *record.Record) { at := r.Time; *r = facts[i]; r.Time = at }); err != nil {
			return err
		}
	}
	return nil
}

// SetPeople puts another people file in force for those who log in from now on.
func (s *Server) SetPeople(p *auth.People, digest string) error {
	err := s.note(record.KindConfigChanged, func(r *record.Record) { r.Detail = map[string]string{"people": digest} })
	if err == nil {
		s.setPeople(p)
	}
	return err
}

// setPeople gives unknown users salts that stay the same from start to start, so that they look like known ones.
func (s *Server) setPeople(p *auth.People) {
	secret := s.opt.SubjectKey.Hasher().SubjectString("salts of unknown users", "")
	s.people.Store(p.WithSecret(secret[:]))
}

// Serve accepts clients until ctx ends, then lets every session finish its transaction for at most grace, and returns
// when all have ended.
func (s *Server) Serve(ctx context.Context, l net.Listener, grace time.Duration) error {
	if err := s.startLoops(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	background, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, d := range s.databases {
		s.wg.Go(func() { d.watch(background) })
	}
	s.wg.Go(func() { s.tend(background) })
	s.wg.Go(func() { s.watchFiles(background) })
	err := s.accept(ctx, l)
	s.drain(grace)
	for _, l := range s.loops {
		l.stop()
	}
	cancel()
	s.wg.Wait()
	if err == nil {
		s.note(record.KindStopped, func(r *record.Record) {}) // a log that fails here has said so already
	}
	return err
}

func (s *Server) accept(ctx context.Context, l net.Listener) error {
	for wait := time.Duration(0); ; {
		nc, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil: // out of file descriptors, most likely: it passes
			wait = min(2*wait+10*time.Millisecond, time.Second)
			s.log.Warn("accept failed", "err", err)
			time.Sleep(wait)
			continue
		}
		wait = 0
		leave, turned := s.lobby.enter(nc)
		if turned {
			s.metrics.turnedAway.Inc()
		}
		s.wg.Go(func() { s.greet(nc, leave) })
	}
}

// drain ends sessions: idle ones at once, others at the end of their transaction or of the grace.
func (s *Server) drain(grace time.Duration) {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	for until := time.Now().Add(grace); !s.empty(); time.Sleep(20 * time.Millisecond) {
		late := time.Now().After(until)
		tooLate := time.Now().After(until.Add(5 * time.Second))
		for _, l := range s.loops {
			l.post(func() { l.drain(late, tooLate) })
		}
	}
}

// startLoops starts the goroutines that serve the sessions.
func (s *Server) startLoops() error {
	for range s.opt.Loops {
		l, err := newLoop(s)
		if err != nil {
			return err
		}
		s.loops = append(s.loops, l)
	}
	for _, l := range s.loops {
		s.wg.Go(l.run)
	}
	return nil
}

// empty reports that there is no session and that none is being opened.
func (s *Server) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.places.all == 0
}

// open is the number of sessions.
func (s *Server) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// tend looks after what happens by the clock, in the sessions and to the witnesses.
func (s *Server) tend(ctx context.Context) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.opt.Log.Done():
			s.logFailed(s.opt.Log.Err())
			return
		case now := <-tick.C:
			people := s.people.Load()
			for _, l := range s.loops {
				l.post(func() { l.tend(now, people) })
			}
			s.watchLag(s.opt.Log.Status().OldestUnwitnessed, now)
		}
	}
}

func (s *Server) watchLag(oldest, now time.Time) {
	state := lagNone
	if w := s.opt.Witness; w.Max > 0 && !oldest.IsZero() && now.Sub(oldest) > w.Max {
		switch w.On {
		case LagStop:
			state = lagStop
		case LagReadOnly:
			state = lagReadOnly
		}
		if s.lagging.Load() == lagNone {
			s.log.Warn("the witnesses lag behind", "oldest", oldest, "then", w.On)
		}
	}
	s.lagging.Store(state)
}

// logFailed notes once that nobody can be served any more.
func (s *Server) logFailed(err error) {
	s.metrics.unrecorded.Inc()
	if s.refusing.CompareAndSwap(false, true) {
		s.log.Error("the audit log cannot be written: every statement is refused", "err", err)
	}
}
