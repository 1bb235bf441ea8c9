package campaign

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shiguan/auditlog"
	"shiguan/cmd/internal/e2e/citytest"
	"shiguan/configs"
)

var kills = flag.Int("campaign.kills", ifLong(200, 50), "how often the kill campaign kills the proxy")

// ifLong chooses between the long variant of a test and the one that every change has to pass.
func ifLong(long, short int) int {
	if os.Getenv("SHIGUAN_TEST_LONG") != "" {
		return long
	}
	return short
}

// house is what the tests of this package have in common.
var house struct {
	dir    string // temporary; PostgreSQL's user can pass through it
	binary string
	once   sync.Once
	city   *citytest.City // the one that survives its tests
	err    error
	cities int
}

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := inHouse(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, "campaign:", err)
		code = 1
	}
	os.Exit(code)
}

func inHouse(run func() int) (code int, err error) {
	if house.dir, err = os.MkdirTemp("", "shiguan-campaign-"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(house.dir)
	if err := os.Chmod(house.dir, 0o755); err != nil {
		return 1, err
	}
	if house.binary, err = citytest.Build(house.dir); err != nil {
		return 1, fmt.Errorf("build shiguan: %w", err)
	}
	defer func() {
		if house.city != nil {
			err = errors.Join(err, house.city.Stop())
		}
	}()
	return run(), nil
}

// sharedCity is a city whose processes nobody kills.
func sharedCity(t testing.TB) *citytest.City {
	t.Helper()
	house.once.Do(func() { house.city, house.err = citytest.Start(house.binary, filepath.Join(house.dir, "city")) })
	if house.err != nil {
		t.Fatal(house.err)
	}
	return house.city
}

// ownCity is a city of the test's own. When the test fails, the last lines of its processes' logs are printed.
func ownCity(t *testing.T) *citytest.City {
	t.Helper()
	house.cities++
	c, err := citytest.Start(house.binary, filepath.Join(house.dir, "city-"+strconv.Itoa(house.cities)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
		for _, file := range panics(c.Dir) {
			t.Errorf("%s says that a program panicked", file)
		}
		if t.Failed() {
			t.Logf("the proxy's last words:\n%s", lastBytes(filepath.Join(c.Dir, "log-proxy.txt"), 6000))
		}
		os.RemoveAll(c.Dir)
	})
	return c
}

// panics lists the outputs of programs that ended as no kill ends them.
func panics(dir string) (files []string) {
	all, _ := filepath.Glob(filepath.Join(dir, "log-*.txt"))
	for _, file := range all {
		text := lastBytes(file, 1<<30)
		if bytes.Contains(text, []byte("\npanic: ")) || bytes.Contains(text, []byte("fatal error: ")) {
			files = append(files, file)
		}
	}
	return files
}

func lastBytes(file string, n int) []byte {
	text, _ := os.ReadFile(file) // for people; the test has failed already
	return text[max(0, len(text)-n):]
}

// logDir is where a proxy keeps its log.
func logDir(t testing.TB, proxyConfig string) string {
	t.Helper()
	c, err := configs.LoadProxy(proxyConfig)
	if err != nil {
		t.Fatal(err)
	}
	return c.Log.Dir.String()
}

// superuser opens a session past the proxy.
func superuser(t testing.TB, c *citytest.City) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.UpstreamDSN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		conn.Close(ctx)
	})
	return conn
}

// command runs shiguan and wants an exit code.
func command(t testing.TB, c *citytest.City, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, code, err := c.Command(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	if code != want {
		t.Fatalf("shiguan %q ended with %d, want %d\n%s%s", args, code, want, stdout, stderr)
	}
	return stdout, stderr
}

// awaitWitnessed waits until every record that is durable now has been co-signed by the quorum.
func awaitWitnessed(t testing.TB, logURL string) auditlog.Status {
	t.Helper()
	source, err := auditlog.OpenURL(logURL, nil)
	if err != nil {
		t.Fatal(err)
	}
	var durable uint64
	for until := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		s, err := source.Status(t.Context())
		if err == nil && durable == 0 {
			durable = s.Durable
		}
		if err == nil && s.Witnessed >= durable {
			return s
		}
		if time.Now().After(until) {
			t.Fatalf("the witnesses do not sign any more: %+v, %v", s, err)
		}
	}
}
