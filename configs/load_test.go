package configs_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"shiguan/configs"
)

func TestPathsAreRelativeToTheFile(t *testing.T) {
	c, err := configs.LoadProxy("proxy.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for got, want := range map[configs.Path]string{c.People: "people.yaml", c.Log.Key: "log.key",
		c.Databases[0].Catalogue.PasswordFile: "catalogue.password", c.Databases[0].Roles[0].PasswordFile: "civil_affairs_clerk.password"} {
		if got.String() != filepath.Join(here, want) {
			t.Errorf("got %s, want %s below %s", got, want, here)
		}
	}
}

const small = `people: p
policy: p
log: {dir: /d, origin: o, key: k, recipients: r, subject_key: s}
witnesses: {policy: q}
databases:
  - name: civil
    host: 127.0.0.1
    catalogue: {user: c, password_file: f}
    roles: [{name: r, password_file: f}]
`

func loadText(t *testing.T, text string) (*configs.Proxy, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "proxy.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return configs.LoadProxy(file)
}

func TestWhatIsLeftOutHasDefaults(t *testing.T) {
	c, err := loadText(t, small)
	if err != nil {
		t.Fatal(err)
	}
	if c.Log.Dir != "/d" {
		t.Errorf("an absolute path became %s", c.Log.Dir)
	}
	if d := c.Databases[0]; d.Port != 5432 || d.DBName != "civil" {
		t.Errorf("port %d, dbname %s", d.Port, d.DBName)
	}
	if c.Log.CheckpointInterval != time.Second || c.Witnesses.OnLag != configs.OnLagWarn || c.Limits.Connections == 0 {
		t.Errorf("defaults are missing: %+v", c)
	}
}

func TestHosts(t *testing.T) {
	for text, want := range map[string][]configs.Address{
		"db1":                      {{"db1", 5432}},
		"db1,db2:5433 , 10.0.0.1":  {{"db1", 5432}, {"db2", 5433}, {"10.0.0.1", 5432}},
		"/run/pg":                  {{"/run/pg", 5432}},
		"/run/pg:5433,localhost":   {{"/run/pg", 5433}, {"localhost", 5432}},
		"::1":                      {{"::1", 5432}},
		"[::1]:5433,[fd00::1]":     {{"::1", 5433}, {"fd00::1", 5432}},
		"db.city.example:1,db:2":   {{"db.city.example", 1}, {"db", 2}},
		"127.0.0.1:5434,127.0.0.1": {{"127.0.0.1", 5434}, {"127.0.0.1", 5432}},
	} {
		c, err := loadText(t, strings.Replace(small, "host: 127.0.0.1", "host: \""+text+"\"", 1))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := c.Databases[0].Addresses(); !slices.Equal(got, want) {
			t.Errorf("%s is %v, want %v", text, got, want)
		}
	}
}

func TestProblemsAreReportedWithTheirLine(t *testing.T) {
	for _, tt := range []struct{ name, old, new, want string }{
		{"unknown key", "policy: p\n", "policy: p\nlisten_adress: x\n", ":3: unknown key \"listen_adress\""},
		{"unknown key inside", "host: 127.0.0.1", "host: 127.0.0.1\n    hots: x", ":8: unknown key \"hots\""},
		{"repeated key", "policy: p\n", "policy: p\npolicy: q\n", ":3: mapping key \"policy\" already defined at line 2"},
		{"wrong type", "name: civil", "name: [civil]", ":6: cannot unmarshal"},
		{"duration without a unit", "witnesses: {policy: q}", "witnesses: {policy: q, max_lag: 5}", ":4: "},
		{"size", "people: p", "people: p\nlimits: {message_bytes: 3 megs}", ":2: \"3 megs\" is no size"},
		{"negative size", "people: p", "people: p\nlimits: {message_bytes: -1}", ":2: \"-1\" is no size"},
		{"missing at the top", "people: p\n", "", ":1: people is missing"},
		{"missing inside", "origin: o, ", "", ":3: log.origin is missing"},
		{"missing in a list", "    host: 127.0.0.1\n", "", ":6: databases[0].host is missing"},
		{"no roles", "    roles: [{name: r, password_file: f}]\n", "", ":6: databases[0].roles is missing"},
		{"bad word", "{policy: q}", "{policy: q, on_lag: panic}", ":4: witnesses.on_lag: \"panic\" is none of"},
		{"bad address", "people: p", "people: p\nlisten: 6432", ":2: listen: \"6432\" is no address"},
		{"bad mode of TLS", "people: p", "people: p\ntls: {mode: prefer}", ":2: tls.mode: \"prefer\" is none of"},
		{"TLS without a key", "people: p", "people: p\ntls:\n  mode: require\n  certificate: c", ":2: tls.key is missing"},
		{"old TLS", "people: p", "people: p\ntls: {min_version: \"1.1\"}", ":2: tls.min_version: \"1.1\""},
		{"zero", "people: p", "people: p\nlimits:\n  connections: 0", ":3: limits.connections must be more than zero"},
		{"bad port", "host: 127.0.0.1", "host: 127.0.0.1\n    port: 70000", ":8: databases[0].port: 70000 is no port"},
		{"bad port of a host", "host: 127.0.0.1", "host: \"db1:x,db2\"", ":6: databases[0].port: 0 is no port"},
		{"no host between commas", "host: 127.0.0.1", "host: \"db1,,db2\"", ":7: databases[0].host: a host without a name"},
		{"bad mode upstream", "host: 127.0.0.1", "host: 127.0.0.1\n    tls: {mode: prefer}", ":8: databases[0].tls.mode: \"prefer\""},
		{"a certificate without its key", "host: 127.0.0.1", "host: 127.0.0.1\n    tls: {certificate: c}", ":8: databases[0].tls.certificate and key"},
		{"bad attribute", "host: 127.0.0.1", "host: 127.0.0.1\n    target_session_attrs: master", ":8: databases[0].target_session_attrs: \"master\""},
		{"bad way to log in", "host: 127.0.0.1", "host: 127.0.0.1\n    auth: [scram]", ":8: databases[0].auth[0]: \"scram\""},
		{"no password", "roles: [{name: r, password_file: f}]", "roles: [{name: r}]", ":9: databases[0].roles[0].password_file is missing"},
		{"twice", "databases:\n", "databases:\n  - {name: civil, host: h, catalogue: {user: c, password_file: f}, roles: [{name: r, password_file: f}]}\n", ":7: database \"civil\" is named twice"},
		{"second document", "people: p\n", "people: p\n---\n", "more than one YAML document"},
		{"not YAML", "people: p", "people: {", "did not find"},
		{"empty", small, "", "is empty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(small, tt.old) {
				t.Fatalf("%q is not in the text", tt.old)
			}
			_, err := loadText(t, strings.Replace(small, tt.old, tt.new, 1))
			var bad *configs.Error
			if !errors.As(err, &bad) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestAllProblemsOfAFileAreReportedTogether(t *testing.T) {
	_, err := loadText(t, strings.NewReplacer("people: p\n", "", "host: 127.0.0.1", "port: 0").Replace(small))
	if err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("want two lines, got %v", err)
	}
}

func TestInvestigatorNeedsALogAndAZone(t *testing.T) {
	example, err := os.ReadFile("investigator.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ old, new, want string }{
		{"  dir: log\n", "", ""},
		{"url: http://127.0.0.1:8432/", "url: 127.0.0.1:8432", "log.url: "},
		{"log:\n  dir: log\n  # The proxy's log.listen.\n  url: http://127.0.0.1:8432/\n", "", "log.dir or log.url is missing"},
		{"Asia/Shanghai", "Asia/Zhuzhou", "time_zone: "},
	} {
		if !strings.Contains(string(example), tt.old) {
			t.Fatalf("%q is not in the example", tt.old)
		}
		file := filepath.Join(t.TempDir(), "investigator.yaml")
		if err := os.WriteFile(file, []byte(strings.Replace(string(example), tt.old, tt.new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := configs.LoadInvestigator(file)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%q: got %v, want %q", tt.old, err, tt.want)
		}
	}
}
