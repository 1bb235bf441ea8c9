package sql_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"shiguan/policy/sql"
)

// Bounds for one statement, whatever it is.
const (
	mostMemory = 64 << 20
	mostTime   = 10 * time.Second // a hang, on a busy machine too
)

// TestSuiteOfPostgreSQL analyses every statement that PostgreSQL's own regression suite sends to a server, as the server
// logged it, against the catalogue that each file of the suite leaves behind: no crash, no hang, no more than 64 MB. In a
// short run it takes our own corpus instead.
func TestSuiteOfPostgreSQL(t *testing.T) {
	m := &meter{t: t}
	defer debug.SetGCPercent(debug.SetGCPercent(20)) // garbage is not what a statement takes
	if os.Getenv("SHIGUAN_TEST_LONG") == "" {
		cat := city(t)
		for _, file := range []string{"testdata/corpus.sql", "testdata/drivers.sql"} {
			for _, e := range corpus(t, file) {
				m.analyse(e.text, cat)
			}
		}
	} else {
		s := newSuite(t)
		for _, file := range s.files(t) {
			texts := s.run(t, file)
			cat := load(t, s.conn)
			for _, text := range texts {
				m.analyse(text, cat)
			}
		}
		if m.texts < 20_000 {
			t.Errorf("only %d statements: the suite did not run", m.texts)
		}
	}
	t.Logf("%d texts, %d understood; most for one: %d bytes allocated, %d bytes of memory, %s", m.texts, m.understood, m.allocated, m.resident, m.time)
	if m.understood == 0 {
		t.Error("nothing was understood")
	}
}

// meter measures what single analyses take.
type meter struct {
	t                   *testing.T
	texts, understood   int
	allocated, resident int64
	time                time.Duration
	before, after       runtime.MemStats
}

func (m *meter) analyse(text string, cat *sql.Catalogue) {
	resetPeak(m.t)
	runtime.ReadMemStats(&m.before)
	resident, began := status(m.t, "VmRSS"), time.Now()
	_, err := sql.Analyse(text, cat, sql.Env{SearchPath: []string{"public"}})
	took := time.Since(began)
	resident = status(m.t, "VmHWM") - resident
	runtime.ReadMemStats(&m.after)
	allocated := int64(m.after.TotalAlloc - m.before.TotalAlloc)
	var e *sql.Error
	if errors.As(err, &e) && e.Internal() != "" {
		m.t.Errorf("crashed: %s\n\t%.500s", e.Internal(), text)
	}
	if allocated > mostMemory || resident > mostMemory || took > mostTime {
		m.t.Errorf("took %d bytes allocated, %d bytes of memory, %s: %.500s", allocated, resident, took, text)
	}
	m.texts++
	if err == nil {
		m.understood++
	}
	m.allocated, m.resident, m.time = max(m.allocated, allocated), max(m.resident, resident), max(m.time, took)
}

// resetPeak makes VmHWM begin anew, which counts what the parser's C takes too.
func resetPeak(t testing.TB) {
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
}

func status(t testing.TB, name string) int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), name+":")
	n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// suite is PostgreSQL's regression suite with a server of its own that logs what it is sent.
type suite struct {
	*server
	dir  string // its files, where the server may read them
	conn *pgx.Conn
	log  *bufio.Reader
}

func newSuite(t *testing.T) *suite {
	from := "../../.build/postgresql-source/src/test/regress"
	if _, err := os.Stat(from + "/parallel_schedule"); err != nil {
		t.Fatalf("the sources of PostgreSQL are missing, run .ci/setup source: %v", err)
	}
	own, err := startServer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(own.stop)
	s := &suite{server: own, dir: filepath.Join(own.dir, "regress")}
	if out, err := exec.Command("cp", "-r", from, s.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := exec.Command("chmod", "-R", "a+rwX", s.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ctx := context.Background()
	admin, err := pgx.Connect(ctx, s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(ctx)
	for _, statement := range []string{"CREATE DATABASE regression TEMPLATE template0", "ALTER SYSTEM SET log_statement = 'all'", "ALTER SYSTEM SET log_line_prefix = '@%d '",
		"ALTER SYSTEM SET autovacuum = off", "ALTER DATABASE regression SET timezone_abbreviations = 'Default'", "SELECT pg_reload_conf()"} {
		if _, err := admin.Exec(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	time.Sleep(time.Second) // the new settings reach new sessions some time after
	config, err := pgx.ParseConfig(s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.Database = "regression"
	if s.conn, err = pgx.ConnectConfig(ctx, config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.conn.Close(ctx) })
	file, err := os.Open(filepath.Join(own.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	s.log = bufio.NewReader(file)
	return s
}

var scheduled = regexp.MustCompile(`(?m)^test: (.*)$`)

func (s *suite) files(t *testing.T) (names []string) {
	text, err := os.ReadFile(s.dir + "/parallel_schedule")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range scheduled.FindAllStringSubmatch(string(text), -1) {
		names = append(names, strings.Fields(line[1])...)
	}
	return names
}

// run has psql send one file of the suite, and gives the texts that the server was sent. What fails, fails.
func (s *suite) run(t *testing.T, name string) []string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	config := s.conn.Config()
	psql := exec.CommandContext(ctx, "psql", "-X", "-a", "-q", "-d", "regression", "-v", "HIDE_TABLEAM=on", "-v", "HIDE_TOAST_COMPRESSION=on", "-f", "sql/"+name+".sql")
	psql.Dir = s.dir
	psql.Env = append(os.Environ(), "PGHOST=127.0.0.1", fmt.Sprintf("PGPORT=%d", config.Port), "PGUSER=postgres", "PGTZ=PST8PDT", "PGDATESTYLE=Postgres, MDY",
		"PG_ABS_SRCDIR="+s.dir, "PG_ABS_BUILDDIR="+s.dir, "PG_LIBDIR="+s.dir, "PG_DLSUFFIX=.so")
	if err := psql.Run(); ctx.Err() != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s.logged()
}

// logged reads the texts that were logged since the last time, without our own.
func (s *suite) logged() (texts []string) {
	var text *strings.Builder
	end := func() {
		if text != nil {
			texts = append(texts, text.String())
		}
		text = nil
	}
	for {
		line, err := s.log.ReadString('\n')
		if err != nil {
			end()
			return texts
		}
		if first, ok := strings.CutPrefix(line, "@regression LOG:  statement: "); ok {
			end()
			text = new(strings.Builder)
			text.WriteString(strings.TrimSuffix(first, "\n"))
		} else if more, ok := strings.CutPrefix(line, "\t"); ok && text != nil {
			text.WriteString("\n" + strings.TrimSuffix(more, "\n"))
		} else {
			end()
		}
	}
}
