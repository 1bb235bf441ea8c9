package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"shiguan/auditlog"
	"shiguan/auditlog/record"
	"shiguan/cmd/internal/logtest"
)

// ran is what a command printed and how it ended.
type ran struct {
	code        int
	out, errors string
}

func shiguan(t *testing.T, args ...string) ran {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(context.Background(), args, &out, &errs)
	return ran{code, out.String(), errs.String()}
}

func (r ran) must(t *testing.T, code int, contains ...string) ran {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code %d, want %d\n%s%s", r.code, code, r.out, r.errors)
	}
	for _, want := range contains {
		if !strings.Contains(r.out+r.errors, want) {
			t.Errorf("nothing printed contains %q:\n%s%s", want, r.out, r.errors)
		}
	}
	return r
}

// objects decodes one object a line.
func objects(t *testing.T, out string) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(out) {
		var one map[string]any
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("not one object a line: %v\n%s", err, line)
		}
		all = append(all, one)
	}
	return all
}

func indexes64(all []map[string]any) (out []uint64) {
	for _, one := range all {
		out = append(out, uint64(one["index"].(float64)))
	}
	return out
}

// statements reads every record of the log with the fixture's own key: the oracle of the tests below.
func logRecords(t *testing.T, l *logtest.Log) map[uint64]*record.Record {
	t.Helper()
	source, err := auditlog.OpenDir(l.LogDir)
	if err != nil {
		t.Fatal(err)
	}
	opener := auditlog.NewOpener(source, l.Identities)
	all := map[uint64]*record.Record{}
	err = source.Records(t.Context(), 0, func(s auditlog.Stored) error {
		payload, _, err := opener.Open(t.Context(), s)
		if err != nil {
			return err
		}
		all[s.Index], err = record.Decode(payload)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func matching(all map[uint64]*record.Record, want func(*record.Record) bool) (indexes []uint64) {
	for index, r := range all {
		if r.Kind == record.KindStatement && want(r) {
			indexes = append(indexes, index)
		}
	}
	slices.SortFunc(indexes, func(a, b uint64) int { return int(b) - int(a) }) // newest first
	return indexes
}

func TestSearchFindsExactlyWhatIsOnRecord(t *testing.T) {
	l := logtest.New(t)
	l.Fill(300)
	all := logRecords(t, l)
	middle := all[150].Time
	for name, test := range map[string]struct {
		args []string
		want func(*record.Record) bool
	}{
		"all":        {nil, func(*record.Record) bool { return true }},
		"person":     {[]string{"--person", "王芳"}, func(r *record.Record) bool { return r.Person == "王芳" }},
		"department": {[]string{"--department", "housing-fund"}, func(r *record.Record) bool { return r.Department == "housing-fund" }},
		"table":      {[]string{"--table", "housing.fund_accounts"}, func(r *record.Record) bool { return slices.Contains(r.Tables, "housing.fund_accounts") }},
		"decision":   {[]string{"--decision", "refused"}, func(r *record.Record) bool { return r.Decision == "refused" }},
		"text":       {[]string{"--text", "张"}, func(r *record.Record) bool { return strings.Contains(r.Statement, "张") }},
		"since":      {[]string{"--since", middle.Format(time.RFC3339Nano)}, func(r *record.Record) bool { return !r.Time.Before(middle) }},
		"until":      {[]string{"--until", middle.Format(time.RFC3339Nano)}, func(r *record.Record) bool { return r.Time.Before(middle) }},
		"two":        {[]string{"--person", "auditor", "--decision", "allowed"}, func(r *record.Record) bool { return r.Person == "auditor" && r.Decision == "allowed" }},
	} {
		got := shiguan(t, append([]string{"search", "--config", l.Config, "--json", "--limit", "10000"}, test.args...)...).must(t, ExitOK)
		found, want := indexes64(objects(t, got.out)), matching(all, test.want)
		if !slices.Equal(found, want) || len(want) == 0 {
			t.Errorf("%s: found %v, want %v", name, found, want)
		}
		if got.errors != "" {
			t.Errorf("%s: on standard error: %s", name, got.errors)
		}
	}
}

func TestSearchJSONSaysWhatTheRecordSays(t *testing.T) {
	l := logtest.New(t)
	l.Fill(100)
	all := logRecords(t, l)
	rows := map[uint64]int64{}
	for _, r := range all {
		if r.Outcome != nil {
			rows[r.Outcome.Of] = r.Outcome.Rows
		}
	}
	got := shiguan(t, "search", "--config", l.Config, "--json").must(t, ExitOK)
	for _, one := range objects(t, got.out) {
		index := uint64(one["index"].(float64))
		r := all[index]
		for field, want := range map[string]any{"person": r.Person, "department": r.Department, "position": r.Position, "database": r.Database,
			"statement": r.Statement, "decision": r.Decision, "rule": r.Rule, "state": "witnessed", "session": r.Session, "seq": float64(r.Seq),
			"purpose": r.Purpose, "role": r.Role, "client": r.Client, "application": r.Application,
			"time": r.Time.UTC().Format("2006-01-02T15:04:05.000Z")} {
			if one[field] != want {
				t.Errorf("record %d: %s is %v, want %v", index, field, one[field], want)
			}
		}
		if tables, ok := one["tables"].([]any); !ok || len(tables) != len(r.Tables) {
			t.Errorf("record %d: tables are %v, want %v", index, one["tables"], r.Tables)
		}
		if one["rows"] != float64(rows[index]) { // what was refused or failed returned 0
			t.Errorf("record %d: rows are %v, want %d", index, one["rows"], rows[index])
		}
		if outcome := map[string]string{"allowed": "completed", "refused": "refused", "failed": "failed"}[r.Decision]; one["outcome"] != outcome {
			t.Errorf("record %d: outcome is %v, want %s", index, one["outcome"], outcome)
		}
	}
}

func TestALogCanBeSearchedOverHTTP(t *testing.T) {
	l := logtest.New(t)
	index := l.Fill(80)[5]
	server := httptest.NewServer(l.Handler())
	defer server.Close()
	config, err := os.ReadFile(l.Config)
	if err != nil {
		t.Fatal(err)
	}
	remote := filepath.Join(l.Dir, "remote.yaml")
	write(t, remote, bytes.ReplaceAll(bytes.ReplaceAll(config, []byte("log: {dir: log}"), []byte("log: {url: \""+server.URL+"\"}")),
		[]byte("index.sqlite"), []byte("remote.sqlite")))
	for _, args := range [][]string{{"search", "--json"}, {"show", "--json", itoa(index)}, {"fsck"}} {
		near := shiguan(t, append(args, "--config", l.Config)...).must(t, ExitOK)
		far := shiguan(t, append(args, "--config", remote)...).must(t, ExitOK)
		if near.out != far.out || near.out == "" {
			t.Errorf("%v: from the directory\n%s\nover HTTP\n%s", args, near.out, far.out)
		}
	}
	shiguan(t, "prove", "--config", remote, itoa(index), "-o", filepath.Join(t.TempDir(), "e")).must(t, ExitOK, "holds")
	server.Close()
	shiguan(t, "search", "--config", remote).must(t, ExitUsage)
}

// openStatement is one whose outcome nobody has recorded yet.
func openStatement(l *logtest.Log) uint64 {
	return l.Append(&record.Record{Kind: record.KindStatement, Time: time.Now(), Session: "00000000000000aa", Seq: 1, Person: "civil_clerk",
		Department: "civil-affairs", Position: "clerk", Database: "civil", Statement: "SELECT\n\tname \x1b[31m FROM civil.citizens WHERE a < b",
		Tables: []string{"civil.citizens"}, Decision: record.DecisionAllowed, Rule: "clerk-reads-citizens"})
}

func TestSearchTellsUnknownRowsAndStates(t *testing.T) {
	l := logtest.New(t)
	l.Fill(20)
	l.Strike(true)
	index := openStatement(l)
	l.Integrated()
	got := shiguan(t, "search", "--config", l.Config, "--json", "--limit", "2").must(t, ExitOK)
	lines := objects(t, got.out)
	if len(lines) != 2 || uint64(lines[0]["index"].(float64)) != index || lines[0]["state"] != "integrated" || lines[1]["state"] != "witnessed" {
		t.Errorf("without witnesses:\n%s", got.out)
	}
	if rows, has := lines[0]["rows"]; !has || rows != nil || lines[0]["outcome"] != "pending" {
		t.Errorf("no outcome on record: rows %v, outcome %v; want null and pending", rows, lines[0]["outcome"])
	}
	if !strings.Contains(got.out, "a < b") {
		t.Errorf("SQL is written with escapes that nobody needs: %s", got.out)
	}
	human := shiguan(t, "search", "--config", l.Config, "--limit", "1").must(t, ExitOK, "--limit", `SELECT name \x1b[31m FROM`, "integrated", "–")
	if strings.Contains(human.out, "\x1b") {
		t.Errorf("an escape sequence of the statement reached the terminal: %q", human.out)
	}
}

func TestSearchWithoutHitsIsNoError(t *testing.T) {
	l := logtest.New(t)
	l.Fill(20)
	if got := shiguan(t, "search", "--config", l.Config, "--person", "nobody", "--json").must(t, ExitOK); got.out != "" {
		t.Errorf("printed %q", got.out)
	}
	shiguan(t, "search", "--config", l.Config, "--person", "nobody").must(t, ExitOK, "No record matches")
}

func TestUsageErrorsSayWhatToDo(t *testing.T) {
	l := logtest.New(t)
	l.Fill(5)
	t.Chdir(t.TempDir())
	t.Setenv(configEnv, "")
	for _, test := range []struct {
		says string
		args []string
	}{
		{"no configuration found", []string{"search"}},
		{"name the investigator's configuration", []string{"search", "--config", "missing.yaml"}},
		{"write allowed, refused or failed", []string{"search", "--config", l.Config, "--decision", "maybe"}},
		{"7d", []string{"search", "--config", l.Config, "--since", "soon"}},
		{"not before --until", []string{"search", "--config", l.Config, "--since", "1h", "--until", "2h"}},
		{"at least 1", []string{"search", "--config", l.Config, "--limit", "0"}},
		{"shiguan show INDEX", []string{"show"}},
		{"--text", []string{"search", "张三"}},
		{"shiguan verify --policy", []string{"verify"}},
		{"shiguan search", []string{"show", "--config", l.Config, "first"}},
		{"-o record-1.evidence", []string{"prove", "--config", l.Config, "1"}},
		{"--policy is missing", []string{"verify", "x.evidence"}},
		{"no identifier", []string{"who-saw", "--config", l.Config, " "}},
		{"--key", []string{"fsck", "--dir", l.LogDir}},
		{"--key", []string{"fsck", "--dir", l.LogDir, "--key", "nonsense"}},
	} {
		got := shiguan(t, test.args...)
		if got.code != ExitUsage || !strings.Contains(got.errors, test.says) {
			t.Errorf("shiguan %s: exit code %d, %q; want %d and %q", strings.Join(test.args, " "), got.code, got.errors, ExitUsage, test.says)
		}
	}
}

func TestConfigurationIsFound(t *testing.T) {
	l := logtest.New(t)
	l.Fill(5)
	t.Chdir(t.TempDir())
	t.Setenv(configEnv, l.Config)
	shiguan(t, "search", "--json").must(t, ExitOK, `"index"`)
	t.Setenv(configEnv, "")
	t.Chdir(l.Dir) // ./investigator.yaml
	shiguan(t, "search", "--json").must(t, ExitOK, `"index"`)
}

func TestShowPrintsTheRecordAndWhatIsAboutIt(t *testing.T) {
	l := logtest.New(t)
	l.Fill(100)
	all := logRecords(t, l)
	index := matching(all, func(r *record.Record) bool { return r.Tables != nil && len(r.Masked) > 0 && r.Decision == "allowed" })[0]
	r := all[index]
	shiguan(t, "show", "--config", l.Config, itoa(index)).must(t, ExitOK, "Record "+itoa(index), "witnessed", r.Person, r.Rule, r.Purpose,
		"names 1 person whose rows left", "says how it ended", "completed", "+08:00", "1 named, by keyed hash")
	one := objects(t, shiguan(t, "show", "--config", l.Config, "--json", itoa(index)).must(t, ExitOK).out)[0]
	if one["record"].(map[string]any)["statement"] != r.Statement || one["state"] != "witnessed" || one["subjects"] != 1.0 {
		t.Errorf("--json: %v", one)
	}
	if related := indexes64(anyMaps(one["related"])); !slices.Equal(related, []uint64{index + 1, index + 2}) {
		t.Errorf("related are %v, want %d and %d", related, index+1, index+2)
	}
	shiguan(t, "show", "--config", l.Config, "100000").must(t, ExitNot, "the log holds 0 to")
}

func anyMaps(list any) (all []map[string]any) {
	for _, one := range list.([]any) {
		all = append(all, one.(map[string]any))
	}
	return all
}

func itoa(n uint64) string { return strconv.FormatUint(n, 10) }

func TestProveAndVerify(t *testing.T) {
	l := logtest.New(t)
	statements := l.Fill(60)
	file := filepath.Join(t.TempDir(), "a.evidence")
	index := itoa(statements[3])
	shiguan(t, "prove", "--config", l.Config, index, "-o", file).must(t, ExitOK, "holds", "audit-office")
	shiguan(t, "verify", "--policy", l.QuorumFile, file).must(t, ExitOK, "holds")

	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(good)
	bad[len(bad)/2] ^= 1
	write(t, file+".bad", bad)
	got := shiguan(t, "verify", "--policy", l.QuorumFile, file, file+".bad").must(t, ExitNot, "does not hold")
	if strings.Contains(got.errors, "shiguan:") {
		t.Errorf("the verdict is followed by an empty error: %q", got.errors)
	}
	write(t, file+".txt", []byte("no evidence"))
	shiguan(t, "verify", "--policy", l.QuorumFile, file+".txt").must(t, ExitUsage, "unreadable")
	shiguan(t, "prove", "--config", l.Config, "100000", "-o", file+".none").must(t, ExitNot, "holds no record")
	if _, err := os.Stat(file + ".none"); err == nil {
		t.Error("there is a file of a record that does not exist")
	}
}

func write(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestProveWaitsForTheWitnesses(t *testing.T) {
	l := logtest.New(t)
	l.Fill(20)
	l.Strike(true)
	index := openStatement(l)
	l.Integrated()
	file := filepath.Join(t.TempDir(), "a.evidence")
	shiguan(t, "prove", "--config", l.Config, itoa(index), "-o", file, "--wait", "0s").must(t, ExitNot, "not witnessed yet", "--wait")
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) > 0 {
		t.Errorf("a proof that failed left %v, %v", left, err)
	}
	done := make(chan ran)
	go func() { done <- shiguan(t, "prove", "--config", l.Config, itoa(index), "-o", file, "--wait", "1m") }()
	l.Strike(false)
	(<-done).must(t, ExitOK, "holds")
}

func TestWhoSawFindsEveryDisclosureAndTellsNobody(t *testing.T) {
	l := logtest.New(t)
	l.Fill(600)
	all := logRecords(t, l)
	citizen := ""
	var want []uint64
	for n := range 400 { // one that was seen at least twice
		subject := l.Subjects.Hasher().SubjectString("resident_id", logtest.Citizen(n))
		want = nil
		for _, r := range all {
			if r.Kind == record.KindDisclosure && slices.Contains(r.Subjects, subject) {
				want = append(want, *r.Of)
			}
		}
		if len(want) > 1 {
			citizen = logtest.Citizen(n)
			break
		}
	}
	slices.SortFunc(want, func(a, b uint64) int { return int(b) - int(a) })
	got := shiguan(t, "who-saw", "--config", l.Config, "--json", " "+strings.ToLower(citizen)+"\n").must(t, ExitOK)
	lines := objects(t, got.out)
	if found := indexes64(lines); !slices.Equal(found, want) || len(want) < 2 {
		t.Fatalf("found %v, want %v", found, want)
	}
	for _, one := range lines {
		in := one["named_in"].([]any)
		if len(in) != 1 || in[0].(float64) != one["index"].(float64)+1 || one["purpose"] == "" || one["person"] == "" {
			t.Errorf("hit without what proves it: %v", one)
		}
	}
	shiguan(t, "who-saw", "--config", l.Config, citizen).must(t, ExitOK, all[want[0]].Person, all[want[0]].Purpose, "statements by")
	if none := shiguan(t, "who-saw", "--config", l.Config, "--json", "--namespace", "passport", citizen).must(t, ExitOK); none.out != "" {
		t.Errorf("another kind of identifier with the same digits was found: %s", none.out)
	}
	shiguan(t, "who-saw", "--config", l.Config, "nobody").must(t, ExitOK, "No statement on record")
	// The identifier of somebody who is in no statement's text must not be in the index either.
	stranger := "110101199003070000"
	shiguan(t, "who-saw", "--config", l.Config, stranger).must(t, ExitOK)
	files, err := filepath.Glob(filepath.Join(l.Dir, "index.sqlite*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if content, err := os.ReadFile(file); err != nil || bytes.Contains(content, []byte(stranger)) {
			t.Errorf("%s holds the identifier that was asked for (%v)", file, err)
		}
	}
}

func TestFsckOfALogThatHolds(t *testing.T) {
	l := logtest.New(t)
	l.Fill(300)
	shiguan(t, "fsck", "--config", l.Config).must(t, ExitOK, "holds", "records", "closed without a gap", "cosigned by", "data-bureau")
	shiguan(t, "fsck", "--dir", l.LogDir, "--policy", l.QuorumFile).must(t, ExitOK, "without opening records", "signatures hold")
	server := httptest.NewServer(l.Handler())
	defer server.Close()
	shiguan(t, "fsck", "--url", server.URL, "--key", l.VKey).must(t, ExitOK, "holds")
	one := objects(t, shiguan(t, "fsck", "--config", l.Config, "--json").must(t, ExitOK).out)[0]
	if one["verdict"] != "holds" || one["opened"] != one["durable"] {
		t.Errorf("--json: %v", one)
	}
	other := logtest.New(t)
	other.Fill(5)
	shiguan(t, "fsck", "--url", server.URL, "--key", other.VKey).must(t, ExitNot, "signature")
	shiguan(t, "fsck", "--dir", filepath.Join(l.Dir, "nowhere"), "--key", l.VKey).must(t, ExitUsage)
	shiguan(t, "fsck", "--url", "http://127.0.0.1:1/", "--key", l.VKey).must(t, ExitUsage)
}

func TestATamperedLogIsFoundOut(t *testing.T) {
	l := logtest.New(t)
	l.Fill(200)
	l.Stop()
	segments, err := filepath.Glob(filepath.Join(l.LogDir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	tampered := false
	for _, file := range segments {
		content, err := os.ReadFile(file)
		if err != nil || len(content) < 30_000 || !strings.Contains(file, "seg") && !strings.Contains(file, "store") {
			continue
		}
		content[20_000] ^= 1
		write(t, file, content)
		tampered = true
	}
	if !tampered {
		t.Fatalf("no segment among %v", segments)
	}
	shiguan(t, "fsck", "--config", l.Config).must(t, ExitNot, "contradicts itself", "keep a copy")
	one := shiguan(t, "fsck", "--config", l.Config, "--json").must(t, ExitNot)
	if lines := objects(t, one.out); len(lines) != 1 || lines[0]["verdict"] != "contradiction" {
		t.Errorf("--json: %s", one.out)
	}
}

func TestTheConsoleStaysOnThisMachine(t *testing.T) {
	for _, good := range []string{"127.0.0.1:0", "[::1]:8080", "localhost:8080", "127.3.2.1:80"} {
		if err := checkLoopback(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{":8080", "0.0.0.0:8080", "[::]:80", "10.0.0.1:80", "example.org:80", "8080"} {
		if checkLoopback(bad) == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestARefusedLoginIsFound(t *testing.T) {
	l := logtest.New(t)
	l.Fill(10)
	l.Append(&record.Record{Kind: record.KindLoginRefused, Time: time.Now(), Person: "mallory", Database: "civil", Client: "10.0.0.9:1",
		Reason: "wrong password"})
	l.Witnessed()
	shiguan(t, "search", "--config", l.Config, "--person", "mallory").must(t, ExitOK, "login refused: wrong password", "refused")
	one := objects(t, shiguan(t, "search", "--config", l.Config, "--person", "mallory", "--decision", "refused", "--json").must(t, ExitOK).out)
	if len(one) != 1 || one[0]["kind"] != "login refused" || one[0]["rows"] != 0.0 || one[0]["reason"] != "wrong password" {
		t.Errorf("--json: %v", one)
	}
}
