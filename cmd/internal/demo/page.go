package demo

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"shiguan/cmd/internal/demo/city"
)

// Purpose is what clerks state in the demo: they may look only for a case.
const Purpose = "case-2026-114"

// Try is one thing to try in a running city: what it shows, and a command line for a POSIX shell.
type Try struct {
	Shows   string
	Command string
	Refused bool // the command ends with an error, and that is what it shows
}

// Page is what to try with the binary exe, in the order of the story: use, refuse, find, prove, watch.
func Page(m *Manifest, dir, exe string) []Try {
	who := Sample()
	shiguan := quote(shortest(exe))
	config := quote(m.Config)
	evidence := quote(filepath.Join(dir, "first.evidence"))
	return append(psqlPage(m, who), []Try{
		{Shows: "Who did that? Every statement is on record, with the person behind it and how far it has come.",
			Command: fmt.Sprintf("%s search --config %s --person civil_clerk --limit 5", shiguan, config)},
		{Shows: "Who saw this citizen?",
			Command: fmt.Sprintf("%s who-saw --config %s %s", shiguan, config, who.ID)},
		{Shows: "Hand out the clerk's last look at a citizen as evidence, and verify it with nothing but the file and public keys.",
			Command: fmt.Sprintf("%s prove --config %s $(%s search --config %s --json --limit 1 --person civil_clerk --table civil.citizens --decision allowed"+
				" | grep -o '\"index\":[0-9]*' | cut -d: -f2) -o %s && %s verify --policy %s %s",
				shiguan, config, shiguan, config, evidence, shiguan, quote(m.QuorumPolicy), evidence)},
		{Shows: "Is the whole log as it was witnessed?",
			Command: fmt.Sprintf("%s fsck --config %s", shiguan, config)},
		{Shows: "Is everything in place? Configuration, keys, people, policy, database, witnesses.",
			Command: fmt.Sprintf("%s check --config %s", shiguan, quote(m.ProxyConfig))},
		{Shows: "What would policy say?", Refused: true,
			Command: fmt.Sprintf("%s policy explain --config %s --as civil_clerk --purpose "+Purpose+" \"select phone from civil.citizens order by phone\"", shiguan, quote(m.ProxyConfig))},
		{Shows: "Is the audit whole? What compliance scrapes.",
			Command: fmt.Sprintf("curl -s %s | grep ^shiguan_", m.MetricsURL)},
		{Shows: "A witness that is killed stays dead, two of three are still a quorum; bring it back.",
			Command: fmt.Sprintf("kill -9 %d; %s demo restart --dir %s witness-data-bureau", m.PIDs["witness-data-bureau"], shiguan, quote(dir))},
	}...)
}

func psqlPage(m *Manifest, who city.Citizen) []Try {
	citizen := fmt.Sprintf("select * from civil.citizens where id_number = '%s'", who.ID)
	psql := func(user string, statements ...string) string {
		line := fmt.Sprintf("PGPASSWORD=%s psql -h %s -p %d -U %s -d %s", m.password(user), m.Proxy.Host, m.Proxy.Port, user, m.Database)
		for _, s := range statements {
			line += fmt.Sprintf(" -c \"%s\"", s)
		}
		return line
	}
	return []Try{
		{Shows: "A clerk with a case reads a citizen: the name in clear, everything else masked.",
			Command: psql("civil_clerk", fmt.Sprintf("set shiguan.purpose = '%s'", Purpose), citizen)},
		{Shows: "Without a purpose he is refused.", Refused: true,
			Command: psql("civil_clerk", citizen)},
		{Shows: "Nor may he find a person by what he may not see.", Refused: true,
			Command: psql("civil_clerk", fmt.Sprintf("set shiguan.purpose = '%s'", Purpose), "select name from civil.citizens where phone like '154%'")},
		{Shows: "His manager sees it in clear, and may change a telephone number.",
			Command: psql("civil_manager", citizen, fmt.Sprintf("update civil.citizens set phone = '%s' where id_number = '%s'", who.Phone, who.ID))},
		{Shows: "The housing fund's clerk sees accounts, and of a citizen only the name.",
			Command: psql("fund_clerk", fmt.Sprintf("select account_no, employer, balance from housing.fund_accounts where id_number = '%s'", who.ID),
				fmt.Sprintf("select name from civil.citizens where id_number = '%s'", who.ID))},
		{Shows: "The auditor reads everything, and nothing sensitive in clear.",
			Command: psql("auditor", "select * from welfare.payments limit 5")},
	}
}

// PrintPage writes the page for people.
func PrintPage(w io.Writer, m *Manifest, dir, exe string) {
	fmt.Fprintf(w, "\nThe demo city is running. Try, in another terminal:\n")
	for _, t := range Page(m, dir, exe) {
		fmt.Fprintf(w, "\n%s\n  %s\n", t.Shows, t.Command)
	}
	fmt.Fprintf(w, "\nThe investigator's console: %s  (user %s, password %s)\n", m.ConsoleURL, m.Investigator.User, m.Investigator.Password)
	fmt.Fprintf(w, "Everybody's passwords, ports and process ids: %s\n", filepath.Join(dir, "demo.json"))
}

// Sample is the citizen of the examples: the first one with a housing-fund account and a welfare payment.
func Sample() city.Citizen {
	c := city.New()
	has := map[string]int{}
	for _, a := range c.Accounts {
		has[a.ID] |= 1
	}
	for _, p := range c.Payments {
		has[p.ID] |= 2
	}
	for _, p := range c.Citizens {
		if has[p.ID] == 3 {
			return p
		}
	}
	return c.Citizens[0]
}

func (m *Manifest) password(user string) string {
	p, err := m.Person(user)
	if err != nil {
		return ""
	}
	return p.Password
}

// shortest is how a binary can be called from the current directory.
func shortest(exe string) string {
	if found, err := exec.LookPath("shiguan"); err == nil && found == exe {
		return "shiguan"
	}
	here, err := os.Getwd()
	if err != nil {
		return exe
	}
	if rel, err := filepath.Rel(here, exe); err == nil && !strings.HasPrefix(rel, "..") {
		return "./" + rel
	}
	return exe
}

// quote makes a word of a shell command line of any text.
func quote(text string) string {
	if strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:@%") == "" && text != "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
