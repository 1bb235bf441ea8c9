package tour

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"shiguan/cmd/internal/demo"
)

// hit is what the tour reads of a line of `shiguan search --json`.
type hit struct {
	Index      uint64   `json:"index"`
	Person     string   `json:"person"`
	Department string   `json:"department"`
	Position   string   `json:"position"`
	Database   string   `json:"database"`
	Statement  string   `json:"statement"`
	Decision   string   `json:"decision"`
	Rule       string   `json:"rule"`
	Tables     []string `json:"tables"`
	Rows       *int64   `json:"rows"`
	State      string   `json:"state"`
	Purpose    string   `json:"purpose"`
}

// witnessedWithin bounds the wait for the quorum.
const witnessedWithin = 30 * time.Second

// investigate walks through what an investigator does afterwards.
func (w *walker) investigate() {
	id := demo.Sample().ID
	w.chapter("An investigator finds out, and hands out evidence")
	w.step("every statement is on record: with person, department, position, purpose, tables, rows and the rule that decided", func() error {
		return w.findAllowed(id)
	})
	w.step("what was refused is on record too", w.findRefused)
	w.step("nobody else's statements are among the clerk's, and the auditor's are found by department", w.findOthers)
	w.step("who saw this citizen: the clerk, the manager, the fund's clerk and the auditor, by a keyed hash of the number", func() error {
		return w.whoSaw(id)
	})
	w.step("the quorum of other departments has cosigned it", w.witnessed)
	w.step("the record can be handed out as evidence, which verifies offline with nothing but public keys", w.evidence)
	w.step("the whole log holds: every record, tile, head and cosignature", func() error {
		_, err := w.succeeds("fsck", "--config", w.m.Config)
		return err
	})
	w.step("what is sealed cannot be read on the proxy's disk: no statement, no name, no number is there in clear", w.sealed)
}

// search returns what the command finds since the tour began.
func (w *walker) search(args ...string) ([]hit, error) {
	since := w.started.Add(-time.Second).UTC().Format(time.RFC3339)
	out, err := w.succeeds(append([]string{"search", "--config", w.m.Config, "--json", "--limit", "1000", "--since", since}, args...)...)
	if err != nil {
		return nil, err
	}
	return hits(out)
}

func hits(out string) ([]hit, error) {
	var all []hit
	for line := range strings.Lines(out) {
		var h hit
		if err := json.Unmarshal([]byte(line), &h); err != nil {
			return nil, fmt.Errorf("not one JSON object a line: %w: %s", err, line)
		}
		all = append(all, h)
	}
	return all, nil
}

// findAllowed remembers the clerk's first allowed read of the citizen for the steps that follow.
func (w *walker) findAllowed(id string) error {
	found, err := w.search("--person", "civil_clerk", "--table", "civil.citizens", "--decision", "allowed")
	if err != nil {
		return err
	}
	for _, h := range found {
		if h.Purpose != w.purpose || !strings.Contains(h.Statement, id) || !strings.Contains(h.Statement, "birth_date") {
			continue
		}
		if h.Person != "civil_clerk" || h.Department != "civil-affairs" || h.Position != "clerk" || h.Database != w.m.Database ||
			h.Rule == "" || h.Rows == nil || *h.Rows != 1 || strings.Join(h.Tables, ",") != "civil.citizens" {
			return fmt.Errorf("record %d does not say what happened: %+v", h.Index, h)
		}
		w.record = h.Index
		return nil
	}
	return fmt.Errorf("none of the %d statements found is the clerk's with purpose %s", len(found), w.purpose)
}

func (w *walker) findRefused() error {
	found, err := w.search("--person", "civil_clerk", "--decision", "refused", "--text", "order by phone")
	if err != nil {
		return err
	}
	if len(found) != len(modes) {
		return fmt.Errorf("the statement was refused %d times and is on record %d times", len(modes), len(found))
	}
	return nil
}

func (w *walker) findOthers() error {
	clerk, err := w.search("--person", "civil_clerk")
	if err != nil {
		return err
	}
	auditor, err := w.search("--department", "audit-office")
	if err != nil {
		return err
	}
	for _, h := range clerk {
		if h.Person != "civil_clerk" {
			return fmt.Errorf("record %d is %s's", h.Index, h.Person)
		}
	}
	for _, h := range auditor {
		if h.Person != "auditor" || h.Department != "audit-office" {
			return fmt.Errorf("record %d is %s's of %s", h.Index, h.Person, h.Department)
		}
	}
	if len(auditor) == 0 {
		return errors.New("nothing of the audit office's is on record")
	}
	return nil
}

func (w *walker) whoSaw(id string) error {
	out, err := w.succeeds("who-saw", "--config", w.m.Config, "--json", id)
	if err != nil {
		return err
	}
	found, err := hits(out)
	if err != nil {
		return err
	}
	saw := map[string]bool{}
	for _, h := range found {
		saw[h.Person] = true
	}
	for _, want := range []string{"civil_clerk", "civil_manager", "fund_clerk", "auditor"} {
		if !saw[want] {
			return fmt.Errorf("%s saw the citizen and is not among the %d accesses found", want, len(found))
		}
	}
	if saw["bench"] {
		return errors.New("the load tester is said to have seen a citizen")
	}
	return nil
}

func (w *walker) witnessed() error {
	if w.record == 0 {
		return errors.New("there is no record to wait for: an earlier step did not find it")
	}
	for until := time.Now().Add(witnessedWithin); ; {
		found, err := w.search("--person", "civil_clerk")
		if err != nil {
			return err
		}
		state := "not found"
		for _, h := range found {
			if h.Index == w.record {
				state = h.State
			}
		}
		if state == "witnessed" {
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("record %d is %s after %v", w.record, state, witnessedWithin)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func (w *walker) evidence() error {
	if w.record == 0 {
		return errors.New("there is no record to prove: an earlier step did not find it")
	}
	file := filepath.Join(w.tmp, "record.evidence")
	if _, err := w.succeeds("prove", "--config", w.m.Config, strconv.FormatUint(w.record, 10), "-o", file); err != nil {
		return err
	}
	if _, err := w.succeeds("verify", "--policy", w.m.QuorumPolicy, file); err != nil {
		return err
	}
	w.proof = file
	return nil
}

// sealed looks for what was recorded in every file of the log.
func (w *walker) sealed() error {
	who := demo.Sample()
	dir, err := w.logDir()
	if err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return ignoreGone(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return ignoreGone(err)
		}
		for _, secret := range []string{who.ID, who.Name, "civil.citizens", "civil_clerk", w.purpose} {
			if strings.Contains(string(text), secret) {
				return fmt.Errorf("%s holds %q in clear", path, secret)
			}
		}
		return nil
	})
}

// ignoreGone lets a file vanish that the running log has renamed or removed meanwhile.
func ignoreGone(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
