package policy_test

import (
	"slices"
	"strings"
	"testing"

	"shiguan/policy"
	"shiguan/policy/sql"
)

// Names that a database lacks are reported with those that were probably meant.
func TestCheckSaysWhatWasMeant(t *testing.T) {
	cat := catalogue(t, func(s *sql.Snapshot) {
		table(t, s, "civil", "citizens", "id_number text", "name text", "phone text")
		table(t, s, "housing", "accounts", "number text")
	})
	p := parse(t, `version: 1
data:
  civil.citizen:
    phone: {class: c}
  civil.accounts:
    number: {class: c}
  civil.citizens:
    id_numbre: {class: c}
  civil.zebras:
    stripes: {class: c}
classes:
  c: {mask: null}
rules:
  - id: r
    who: {user: a}
    may: [select]
    on: [civil.citizesn, civil.citizens]
    columns: [civil.citizens.nme, civil.citizens.weight]
`)
	for _, want := range []string{
		"civil.citizen: check the name; did you mean civil.citizens?",
		"civil.accounts: check the name; did you mean housing.accounts?",
		"rename it here too; did you mean id_number?",
		"no table civil.zebras: check the name$",
		"rule r names civil.citizesn, which this database does not have: check the name; did you mean civil.citizens?",
		"civil.citizens.nme, which the table does not have: check the name; did you mean name?",
		"civil.citizens.weight, which the table does not have: check the name$",
	} {
		want, whole := strings.CutSuffix(want, "$")
		if !slices.ContainsFunc(p.Check(cat), func(f policy.Finding) bool {
			return strings.Contains(f.Message, want) && (!whole || strings.HasSuffix(f.Message, want))
		}) {
			t.Errorf("no finding %q in %v", want, p.Check(cat))
		}
	}
}
