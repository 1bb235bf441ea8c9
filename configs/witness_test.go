package configs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shiguan/auditlog/tiles"
	"shiguan/configs"
)

func loadWitness(t *testing.T, text string) (*configs.Witness, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "witness.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return configs.LoadWitness(file)
}

func TestWitness(t *testing.T) {
	_, vkey, err := tiles.GenerateLogKey("log.example/civil")
	if err != nil {
		t.Fatal(err)
	}
	good := "name: n\nkey: k\nstate: s\nlogs:\n  - origin: log.example/civil\n    vkey: " + vkey + "\n"
	c, err := loadWitness(t, good)
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen == "" || !filepath.IsAbs(c.State.String()) || c.Logs[0] != (configs.WitnessLog{Origin: "log.example/civil", VKey: vkey}) {
		t.Errorf("got %+v", c)
	}
	for _, bad := range []struct{ text, line, says string }{
		{strings.Replace(good, "name: n", "nmae: n", 1), ":1:", `unknown key "nmae"`},
		{strings.Replace(good, "name: n\n", "", 1), "", "name is missing"},
		{strings.Replace(good, "key: k\n", "", 1), "", "key is missing"},
		{strings.Replace(good, "state: s\n", "", 1), "", "state is missing"},
		{"name: n\nkey: k\nstate: s\n", "", "logs is missing"},
		{good + "listen: here\n", ":7:", "host:port"},
		{good + "metrics: {listen: there}\n", ":7:", "host:port"},
		{strings.Replace(good, "/civil\n", "/housing\n", 1), ":5:", "the key is that of log.example/civil"},
		{strings.Replace(good, vkey, "nonsense", 1), ":6:", "verifier key"},
		{good + "  - origin: log.example/civil\n    vkey: " + vkey + "\n", ":7:", "twice"},
		{good + "---\n", "", "more than one YAML document"},
	} {
		_, err := loadWitness(t, bad.text)
		var wrong *configs.Error
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), bad.says) || !strings.Contains(err.Error(), bad.line) {
			t.Errorf("%q: error %v, want %q at line %q", bad.text, err, bad.says, bad.line)
		}
	}
}
