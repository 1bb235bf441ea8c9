package logins

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/cmd/internal/logtest"
	"shiguan/cmd/internal/pgtest"
	"shiguan/policy"
	"shiguan/proxy"
	"shiguan/proxy/auth"
	"shiguan/proxy/quota"
)

// server is the PostgreSQL that all tests share. What a test changes there it undoes.
var server *pgtest.Server

const (
	password     = "kuàilè 42" // of everybody, here and upstream
	databaseName = "civil"
)

func TestMain(m *testing.M) {
	code, err := withServer(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, "logins:", err)
		code = 1
	}
	os.Exit(code)
}

func withServer(run func() int) (code int, err error) {
	ctx := context.Background()
	if server, err = pgtest.Run(ctx, pgtest.Options{}); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	err = server.Exec(ctx, "postgres",
		"create role clerk login password '"+password+"'", "create role catalogue login password '"+password+"'", "create database "+databaseName)
	if err != nil {
		return 1, err
	}
	return run(), nil
}

// door is a proxy in this process.
type door struct {
	*proxy.Server
	log     *logtest.Log
	address string
	metrics *prometheus.Registry
	said    *output
}

// output is what the proxy tells its operator.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// openDoor starts a proxy; change says what is special about it. It ends with the test.
func openDoor(t *testing.T, change func(*proxy.Options)) *door {
	t.Helper()
	d, err := newDoor(t, change)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.address = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Serve(ctx, l, time.Second) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the proxy ended with %v", err)
		}
		if strings.Contains(d.said.String(), "fault of the proxy") {
			t.Errorf("the proxy says: %s", d.said)
		}
	})
	return d
}

// newDoor makes a proxy that does not serve yet.
func newDoor(t *testing.T, change func(*proxy.Options)) (*door, error) {
	t.Helper()
	d := &door{log: logtest.New(t), metrics: prometheus.NewRegistry(), said: &output{}}
	pol, err := policy.Parse("policy.yaml", []byte("version: 1\nrules:\n  - {id: all, who: {department: civil-affairs}, may: [all], on: [\"*\"], transparent: true}\n"))
	if err != nil {
		t.Fatal(err)
	}
	book, err := quota.Open(filepath.Join(d.log.Dir, "limits.jsonl"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { book.Close() })
	o := proxy.Options{
		Quota: book, Log: d.log.Log, SubjectKey: d.log.Subjects, People: people(t, "ann", "bob"), Policy: pol, Registerer: d.metrics, Version: "test",
		Logger: slog.New(slog.NewTextHandler(d.said, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Databases: []proxy.Database{{Name: databaseName, DBName: databaseName, Addresses: []proxy.Address{{Host: server.Host, Port: uint16(server.Port)}},
			CatalogueUser: "catalogue", Catalogue: proxy.Secret{Password: password}, Roles: map[string]proxy.Secret{"clerk": {Password: password}}}},
	}
	if change != nil {
		change(&o)
	}
	d.Server, err = proxy.New(o)
	return d, err
}

// verifier is that of password; deriving it takes a while.
var verifier = sync.OnceValues(func() (string, error) { return auth.NewVerifier(password, auth.DefaultIterations) })

// people are clerks of civil affairs who all have the same password. What stands behind a name, such as "ann login:
// certificate", goes into the entry.
func people(t *testing.T, entries ...string) *auth.People {
	t.Helper()
	return peopleAs(t, "clerk", entries...)
}

// peopleAs is people who become this role.
func peopleAs(t *testing.T, role string, entries ...string) *auth.People {
	t.Helper()
	v, err := verifier()
	if err != nil {
		t.Fatal(err)
	}
	text := "version: 1\npeople:\n"
	for _, entry := range entries {
		user, more, _ := strings.Cut(entry, " ")
		if more != "" {
			more = ", " + more
		}
		if !strings.Contains(more, "login: certificate}") && !strings.HasSuffix(more, "login: certificate") {
			more += ", verifier: \"" + v + "\""
		}
		text += fmt.Sprintf("  - {user: %s, department: civil-affairs, position: clerk, role: %s%s}\n", user, role, more)
	}
	p, err := auth.ParsePeople("people.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// dsn is how a person reaches the proxy; options are query parameters such as sslmode=require.
func (d *door) dsn(user string, options ...string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(user, password), Host: d.address, Path: databaseName, RawQuery: strings.Join(options, "&")}
	return u.String()
}

// try logs in and asks for something.
func try(t *testing.T, dsn string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	var n int
	if err := c.QueryRow(ctx, "select 6*7").Scan(&n); err != nil {
		return err
	}
	if n != 42 {
		return fmt.Errorf("6*7 is %d", n)
	}
	return nil
}

// patience is how long anything may take that must come. It decides no test that passes.
const patience = 30 * time.Second

// enters fails the test unless somebody gets in and can work.
func enters(t *testing.T, dsn string) {
	t.Helper()
	if err := try(t, dsn); err != nil {
		t.Errorf("%s: %v", dsn, err)
	}
}

// refused fails the test unless somebody is told this SQLSTATE and message.
func refused(t *testing.T, dsn, code, message string) {
	t.Helper()
	err := try(t, dsn)
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, message) || e.Severity != "FATAL" {
		t.Errorf("%s: got %v, want %s %s", dsn, err, code, message)
	}
}

// records reads everything on record so far.
func (d *door) records(t *testing.T) []record.Record {
	t.Helper()
	source, err := auditlog.OpenDir(d.log.LogDir)
	if err != nil {
		t.Fatal(err)
	}
	opener := auditlog.NewOpener(source, d.log.Identities)
	var all []record.Record
	err = source.Records(t.Context(), 0, func(s auditlog.Stored) error {
		payload, _, err := opener.Open(t.Context(), s)
		if err != nil {
			return err
		}
		r, err := record.Decode(payload)
		if err == nil {
			all = append(all, *r)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// last is the newest record of a kind.
func (d *door) last(t *testing.T, kind record.Kind) record.Record {
	t.Helper()
	var found record.Record
	for _, r := range d.records(t) {
		if r.Kind == kind {
			found = r
		}
	}
	if found.Kind != kind {
		t.Fatalf("no record %q", kind)
	}
	return found
}

// eventually waits for something that must happen.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	err := check()
	for until := time.Now().Add(patience); err != nil && time.Now().Before(until); err = check() {
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// counted is the value of a metric's series with this label.
func (d *door) counted(t *testing.T, name, label string) (n float64) {
	t.Helper()
	families, err := d.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			if f.GetName() == name && len(m.Label) == 1 && m.Label[0].GetValue() == label {
				n = m.GetCounter().GetValue() + m.GetGauge().GetValue() // one of them is there
			}
		}
	}
	return n
}

// addressOf is where another proxy reaches this one.
func addressOf(t *testing.T, d *door) proxy.Address {
	t.Helper()
	a, err := netip.ParseAddrPort(d.address)
	if err != nil {
		t.Fatal(err)
	}
	return proxy.Address{Host: a.Addr().String(), Port: a.Port()}
}
