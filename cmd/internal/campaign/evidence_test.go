package campaign

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shiguan/auditlog/evidence"
	"shiguan/auditlog/record"
	"shiguan/auditlog/tiles"
	"shiguan/cmd/internal/e2e/citytest"
	"shiguan/cmd/internal/verifycli"
)

// prove has the investigator write evidence of a record.
func prove(t *testing.T, c *citytest.City, index uint64) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), fmt.Sprintf("record-%d.evidence", index))
	command(t, c, 0, "prove", "--config", c.Config, fmt.Sprint(index), "-o", file)
	return file
}

// proved is evidence of records of three kinds: what a clerk saw masked, whom a manager saw in clear, what was refused.
func proved(t *testing.T) (c *citytest.City, files map[string]string) {
	t.Helper()
	c, h := livedIn(t)
	clear := h.pick(t, func(r *record.Record) bool {
		return r.Person == "civil_manager" && strings.Contains(r.Statement, "id_number in")
	})
	return c, map[string]string{
		"masked":  prove(t, c, h.pick(t, func(r *record.Record) bool { return r.Person == "civil_clerk" && len(r.Masked) > 0 })),
		"clear":   prove(t, c, h.named[clear]),
		"refused": prove(t, c, h.pick(t, func(r *record.Record) bool { return r.Decision == record.DecisionRefused })),
	}
}

// verify runs the verifier's command in this process.
func verify(t *testing.T, policy, file string) (code int, said string) {
	t.Helper()
	var out bytes.Buffer
	code = verifycli.Run(verifycli.Options{Policy: policy, Files: []string{file}}, &out, &out)
	return code, out.String()
}

// unzipped is a ZIP file with the places of its parts.
type unzipped struct {
	names   []string
	content map[string][]byte
	from    map[string]int // offset of the content
	local   map[string]int // offset of the checksum before the content
	central map[string]int // and of that in the directory
}

func unzip(t *testing.T, file []byte) *unzipped {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	u := &unzipped{content: map[string][]byte{}, from: map[string]int{}, local: map[string]int{}, central: map[string]int{}}
	for _, f := range r.File {
		content, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(content)
		if err != nil {
			t.Fatal(err)
		}
		from, err := f.DataOffset()
		if err != nil {
			t.Fatal(err)
		}
		u.names = append(u.names, f.Name)
		u.content[f.Name], u.from[f.Name], u.local[f.Name] = text, int(from), int(from)-30-len(f.Name)+14
	}
	at := bytes.Index(file, []byte("PK\x01\x02"))
	for _, name := range u.names { // the directory is in the order of the files
		u.central[name] = at + 16
		at += 46 + len(name)
	}
	return u
}

// changed returns the file with one bit of a part changed and every checksum right again.
func (u *unzipped) changed(file []byte, name string, at, bit int) []byte {
	forged := bytes.Clone(file)
	forged[u.from[name]+at] ^= 1 << bit
	sum := crc32.ChecksumIEEE(forged[u.from[name]:][:len(u.content[name])])
	binary.LittleEndian.PutUint32(forged[u.local[name]:], sum)
	binary.LittleEndian.PutUint32(forged[u.central[name]:], sum)
	return forged
}

// No bit of evidence can be changed, even by somebody who packs it as it should be packed.
func TestEveryByteOfEvidenceCounts(t *testing.T) {
	c, files := proved(t)
	dir := t.TempDir()
	forgery := filepath.Join(dir, "forged.evidence")
	tried, reals := 0, 0
	for kind, file := range files {
		genuine, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		u := unzip(t, genuine)
		if len(u.names) != 6 {
			t.Fatalf("evidence has the parts %v", u.names)
		}
		for _, name := range u.names {
			for at := range u.content[name] {
				for bit := range 8 {
					if !counts(kind, name, at, bit) {
						continue
					}
					forged := u.changed(genuine, name, at, bit)
					readsAsZIP(t, forged, name, at == 0)
					if err := os.WriteFile(forgery, forged, 0o600); err != nil {
						t.Fatal(err)
					}
					code, said := verify(t, c.QuorumPolicy, forgery)
					if code != 1 && code != 2 {
						t.Fatalf("%s: bit %d of byte %d of %s was changed, and the verifier ends with %d: %s", kind, bit, at, name, code, said)
					}
					tried++
					if bit == at%8 && at%(len(u.content[name])/3+1) == 1 {
						command(t, c, code, "verify", "--policy", c.QuorumPolicy, forgery)
						reals++
					}
				}
			}
		}
		for at := range genuine { // the container, checksums and all
			if kind != "clear" && ifLong(1, 0) == 0 {
				break
			}
			forged := bytes.Clone(genuine)
			forged[at] ^= 1 << (at % 8)
			if err := os.WriteFile(forgery, forged, 0o600); err != nil {
				t.Fatal(err)
			}
			if code, said := verify(t, c.QuorumPolicy, forgery); code != 1 && code != 2 {
				t.Fatalf("%s: byte %d of the file was changed: %s", kind, at, said)
			}
			tried++
		}
	}
	t.Logf("%d forgeries rejected, %d of them by the real binary too", tried, reals)
}

// counts chooses the forgeries: one bit of each byte, and in the part that opens the leaf and the leaf itself all of them.
// Bit 5 makes a small letter a capital.
func counts(kind, name string, at, bit int) bool {
	switch {
	case ifLong(1, 0) == 1 || name == "leaf.bin" || name == "opening.json":
		return true
	case kind == "clear":
		return bit == at%8 || bit == 5 && name == "proof.tlog-proof"
	}
	return bit == at%8 && name == "record.json"
}

// readsAsZIP makes sure that a forgery is one that only the verifier can tell.
func readsAsZIP(t *testing.T, forged []byte, name string, check bool) {
	t.Helper()
	if !check {
		return
	}
	r, err := zip.NewReader(bytes.NewReader(forged), int64(len(forged)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := r.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(f); err != nil {
		t.Fatalf("the forged %s does not unpack: %v", name, err)
	}
}

// Evidence is nothing without the quorum of the policy that the checker trusts.
func TestEvidenceNeedsItsQuorum(t *testing.T) {
	c, files := proved(t)
	genuine, err := os.ReadFile(files["clear"])
	if err != nil {
		t.Fatal(err)
	}
	u := unzip(t, genuine)
	signed := strings.Count(string(u.content["proof.tlog-proof"]), "— ") - 1
	if signed < 2 {
		t.Fatalf("%d witnesses have signed", signed)
	}
	_, stranger, err := tiles.GenerateWitnessKey("stranger.example")
	if err != nil {
		t.Fatal(err)
	}
	_, otherLog, err := tiles.GenerateLogKey(c.Origin)
	if err != nil {
		t.Fatal(err)
	}
	log, unknown := "log "+c.LogVKey+"\n", "witness stranger "+stranger+"\n"
	var all, names string
	for _, w := range c.Witnesses {
		all += fmt.Sprintf("witness %s %s\n", w.Department, w.VKey)
		names += " " + w.Department
	}
	first := c.Witnesses[0]
	alone := fmt.Sprintf("witness %s %s\n", first.Department, first.VKey)
	for _, x := range []struct {
		name   string
		policy string
		only   bool // leave only the first witness's cosignature in the proof
		step   evidence.Step
	}{
		{"everybody and a stranger must sign", log + all + unknown + "group q all" + names + " stranger\nquorum q\n", false, evidence.StepQuorum},
		{"a stranger must sign", log + all + unknown + "quorum stranger\n", false, evidence.StepQuorum},
		{"one of the two has signed", log + alone + unknown + "group q 2 " + first.Department + " stranger\nquorum q\n", true, evidence.StepQuorum},
		{"one of three has signed", log + all + "group q 2" + names + "\nquorum q\n", true, evidence.StepQuorum},
		{"others signed who do not count", log + alone + "quorum " + first.Department + "\n", false, evidence.StepQuorum},
		{"another log key", "log " + otherLog + "\n" + all + "group q 2" + names + "\nquorum q\n", false, evidence.StepCheckpoint},
	} {
		t.Run(x.name, func(t *testing.T) {
			policy := filepath.Join(t.TempDir(), "policy")
			if err := os.WriteFile(policy, []byte(x.policy), 0o600); err != nil {
				t.Fatal(err)
			}
			// The file as it is disagrees with the policy already about the policy.
			command(t, c, 1, "verify", "--policy", policy, files["clear"])
			parts := map[string]string{"quorum.policy": x.policy}
			if x.only {
				parts["proof.tlog-proof"] = cosignedOnlyBy(t, c, string(u.content["proof.tlog-proof"]))
			}
			code, said := verify(t, policy, repack(t, u, parts))
			if code != 1 || !strings.Contains(said, "step "+string(x.step)) {
				t.Errorf("with the policy packed into it, it ended with %d, want 1 at step %s: %s", code, x.step, said)
			}
		})
	}
	t.Run("unreadable policy", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "policy")
		if err := os.WriteFile(file, []byte("quorum nobody\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		command(t, c, 2, "verify", "--policy", file, files["clear"])
	})
	t.Run("packed again unchanged", func(t *testing.T) {
		if code, said := verify(t, c.QuorumPolicy, repack(t, u, nil)); code != 0 {
			t.Errorf("what the other cases repack does not hold unchanged: %s", said)
		}
	})
}

// cosignedOnlyBy removes the cosignatures of all witnesses but the first from a proof.
func cosignedOnlyBy(t *testing.T, c *citytest.City, proof string) string {
	t.Helper()
	for _, w := range c.Witnesses[1:] {
		name, _, _ := strings.Cut(w.VKey, "+")
		if from := strings.Index(proof, "— "+name+" "); from >= 0 {
			proof = proof[:from] + proof[from+strings.Index(proof[from:], "\n")+1:]
		}
	}
	if strings.Count(proof, "— ") != 2 {
		t.Fatalf("want the log's signature and one cosignature:\n%s", proof)
	}
	return proof
}

// repack writes evidence anew, as this software packs it, with some parts replaced.
func repack(t *testing.T, u *unzipped, parts map[string]string) (file string) {
	t.Helper()
	part := func(name string) []byte {
		if text, ok := parts[name]; ok {
			return []byte(text)
		}
		return u.content[name]
	}
	e := evidence.Evidence{Proof: part("proof.tlog-proof"), Leaf: part("leaf.bin"), Record: part("record.json"),
		Policy: part("quorum.policy"), Readme: string(part("README.txt"))}
	if err := json.Unmarshal(part("opening.json"), &e.Opening); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := e.Write(&out); err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "repacked.evidence")
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
