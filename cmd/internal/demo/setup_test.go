package demo

import (
	"os"
	"testing"

	"shiguan/auditlog/record"
	"shiguan/auditlog/record/seal"
	"shiguan/auditlog/tiles"
	"shiguan/configs"
	"shiguan/proxy/auth"
)

// Everything that the demo writes is read by the code that will read it in the components.
func TestSetupIsWhatTheComponentsExpect(t *testing.T) {
	l := layout{dir: t.TempDir(), base: 20000}
	s, err := l.openSecrets()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	if err := l.writeConfigs(s, "/run/socket"); err != nil {
		t.Fatal(err)
	}
	proxy, err := configs.LoadProxy(l.proxyConfig())
	if err != nil {
		t.Fatal(err)
	}
	if len(proxy.Databases) != 1 || len(proxy.Databases[0].Roles) != len(people) || proxy.Databases[0].Port != 20001 {
		t.Errorf("databases: %+v", proxy.Databases)
	}
	who, err := auth.LoadPeople(proxy.People.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range people {
		if found, ok := who.Find(p.User); !ok || found.Role != p.role || found.Department != p.Department || found.Position != p.Position {
			t.Errorf("%s: %+v", p.User, found)
		}
	}
	signer, err := tiles.NewLogSigner(readFile(t, proxy.Log.Key))
	if err != nil {
		t.Fatal(err)
	}
	quorum, err := tiles.ParsePolicy([]byte(readFile(t, proxy.Witnesses.Policy)))
	if err != nil {
		t.Fatal(err)
	}
	if len(quorum.Logs) != 1 || quorum.Logs[0].VKey != signer.VKey().String() || len(quorum.Witnesses) != len(witnessDepartments) {
		t.Errorf("quorum policy: %+v", quorum)
	}
	inOne := func(names ...string) func(string) bool {
		return func(w string) bool {
			for _, name := range names {
				if name == w {
					return true
				}
			}
			return false
		}
	}
	if quorum.Satisfied(inOne("audit-office")) || !quorum.Satisfied(inOne("audit-office", "data-bureau")) {
		t.Error("the quorum is not two of three")
	}
	if _, err := seal.ParseRecipients(proxy.Log.Recipients.String()); err != nil {
		t.Error(err)
	}
	investigator, err := configs.LoadInvestigator(l.investigatorConfig())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := seal.ParseIdentities(investigator.Identity.String()); err != nil {
		t.Error(err)
	}
	if _, err := record.ParseSubjectKey([]byte(readFile(t, investigator.SubjectKey))); err != nil {
		t.Error(err)
	}
	if _, err := auth.LoadPeople(investigator.Console.People.String()); err != nil {
		t.Error(err)
	}
}

func TestALaterRunHasTheSameSecrets(t *testing.T) {
	l := layout{dir: t.TempDir(), base: 20000}
	first, err := l.openSecrets()
	if err != nil {
		t.Fatal(err)
	}
	// A crash between a secret and its public part: the key was never used.
	if err := os.Remove(l.key("witness-data-bureau.key.pub")); err != nil {
		t.Fatal(err)
	}
	second, err := l.openSecrets()
	if err != nil {
		t.Fatal(err)
	}
	if first.logVKey != second.logVKey || first.recipient != second.recipient || first.people["auditor"] != second.people["auditor"] ||
		first.roles[catalogueRole] != second.roles[catalogueRole] {
		t.Error("secrets changed")
	}
	if first.witnessVKeys["data-bureau"] == second.witnessVKeys["data-bureau"] || second.witnessVKeys["data-bureau"] == "" {
		t.Error("a key without its public part was kept")
	}
}

func readFile(t *testing.T, path configs.Path) string {
	t.Helper()
	text, err := os.ReadFile(path.String())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
