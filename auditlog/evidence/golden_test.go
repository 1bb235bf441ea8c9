package evidence_test

import (
	"os"
	"testing"

	"shiguan/auditlog/evidence"
)

func readTestdata(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestGivenOut verifies a file that was made once and is never made again: if this fails, so does all evidence that has left the
// house. Do not renew the file; find out what has changed.
func TestGivenOut(t *testing.T) {
	r, err := evidence.Verify(readTestdata(t, "v1.evidence"), readTestdata(t, "v1.policy"))
	if err != nil {
		t.Fatal(err)
	}
	if r.Index != index || r.Size != logSize || r.Record.Person != "civil_clerk" {
		t.Errorf("report %+v", r)
	}
}

// FuzzVerify looks for a second file that verifies with the policy of the first. There must be none.
func FuzzVerify(f *testing.F) {
	file, policy := readTestdata(f, "v1.evidence"), readTestdata(f, "v1.policy")
	raw, err := evidence.Unzip(file)
	if err != nil {
		f.Fatal(err)
	}
	for i, part := range raw {
		f.Add(i, part)
	}
	f.Fuzz(func(t *testing.T, i int, part []byte) {
		if i < 0 || i >= len(raw) {
			return // no such part
		}
		changed := raw
		changed[i] = part
		same := string(part) == string(raw[i])
		if _, err := evidence.Verify(evidence.Rezip(changed), policy); (err == nil) != same {
			t.Errorf("part %d changed: %v; error %v", i, !same, err)
		}
	})
}

// FuzzContainer wants that whatever the container is read as, packing gives the same bytes.
func FuzzContainer(f *testing.F) {
	file := evidence.Rezip([6][]byte{[]byte("p"), []byte("l"), nil, []byte("o"), []byte("pp"), []byte("r")})
	f.Add(file)
	f.Add(file[:100])
	f.Fuzz(func(t *testing.T, file []byte) {
		if raw, err := evidence.Unzip(file); err == nil && string(evidence.Rezip(raw)) != string(file) {
			t.Error("two files with the same parts")
		}
	})
}
