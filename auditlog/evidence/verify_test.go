package evidence_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"shiguan/auditlog/evidence"
	"shiguan/auditlog/record"
	"shiguan/auditlog/tiles"
)

// failedStep is the step that failed, "unreadable", or "" when the file holds.
func failedStep(t testing.TB, file []byte, p *tiles.Policy) evidence.Step {
	t.Helper()
	report, err := evidence.VerifyWith(file, p)
	var step *evidence.StepError
	switch {
	case err == nil:
		return ""
	case report != nil:
		t.Fatal("a report beside an error")
	case errors.As(err, &step):
		return step.Step
	case errors.Is(err, evidence.ErrUnreadable):
		return "unreadable"
	}
	t.Fatalf("neither a step nor unreadable: %v", err)
	return ""
}

func wantStep(t testing.TB, file []byte, p *tiles.Policy, want evidence.Step) {
	t.Helper()
	if got := failedStep(t, file, p); got != want {
		t.Errorf("failed step %q, want %q", got, want)
	}
}

func TestHolds(t *testing.T) {
	c := newCity(t)
	file := c.file()
	r, err := evidence.Verify(file, c.policy.Text())
	if err != nil {
		t.Fatal(err)
	}
	if r.Origin != origin || r.Index != index || r.Size != logSize || r.Period != 7 || r.Root != tiles.FormatHash(c.builder.Root()) {
		t.Errorf("report %+v", r)
	}
	if got := len(r.Witnesses); got != 2 || r.Witnesses[0].Name != "discipline-inspection" || r.Witnesses[1].Name != "data-bureau" {
		t.Errorf("witnesses %v", r.Witnesses)
	}
	if r.Record.Person != "civil_clerk" || !r.Record.Time.Equal(recordTime) {
		t.Errorf("record %+v", r.Record)
	}
	if again := c.file(); !bytes.Equal(again, file) {
		t.Error("the same evidence gave other bytes")
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"entry       137 of 300\n", "civil-affairs / clerk", "2026-11-21 16:00:00.123 +08:00 (2026-11-21 08:00:00.123 UTC)", "= '王137'"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("report lacks %q:\n%s", want, text.String())
		}
	}
}

// TestEveryByteOfTheFile changes each byte of the file and cuts it at each length.
func TestEveryByteOfTheFile(t *testing.T) {
	c := newCity(t)
	file := c.file()
	for i := range file {
		for _, flip := range []byte{1, 0x20, 0x80} {
			bad := bytes.Clone(file)
			bad[i] ^= flip
			if got := failedStep(t, bad, c.policy); got != evidence.StepContainer && got != "unreadable" {
				t.Fatalf("byte %d changed by %02x: failed step %q", i, flip, got)
			}
		}
		if got := failedStep(t, file[:i], c.policy); got != "unreadable" && got != evidence.StepContainer {
			t.Fatalf("cut to %d bytes: failed step %q", i, got)
		}
	}
	wantStep(t, append(bytes.Clone(file), 0), c.policy, evidence.StepContainer)
	wantStep(t, append([]byte{0}, file...), c.policy, "unreadable")
}

// TestEveryByteOfEachPart changes each byte of each part and packs the file anew, so that the container is in order. Of
// README.txt, which is long and compared as a whole, it takes each 11th byte.
func TestEveryByteOfEachPart(t *testing.T) {
	c := newCity(t)
	raw, err := evidence.Unzip(c.file())
	c.must(err)
	proof := string(raw[0])
	checkpointAt := strings.Index(proof, "\n\n") + 2
	cosignaturesAt := checkpointAt + strings.Index(proof[checkpointAt:], "\n\n") + 2
	cosignaturesAt += strings.Index(proof[cosignaturesAt:], "\n") + 1
	may := func(part, i int) []evidence.Step {
		switch {
		case part == 0 && i < checkpointAt: // header, index and path, whose syntax counts with the checkpoint
			return []evidence.Step{evidence.StepCheckpoint, evidence.StepInclusion}
		case part == 0 && i >= cosignaturesAt:
			return []evidence.Step{evidence.StepCheckpoint, evidence.StepQuorum}
		case part == 0:
			return []evidence.Step{evidence.StepCheckpoint}
		}
		return []evidence.Step{[]evidence.Step{"", evidence.StepInclusion, evidence.StepOpening, evidence.StepOpening,
			evidence.StepPolicy, evidence.StepReadme}[part]}
	}
	for part := range raw {
		seen := map[evidence.Step]int{}
		stride := 1
		if evidence.PartNames[part] == "README.txt" {
			stride = 11
		}
		for i := 0; i < len(raw[part]); i += stride {
			for _, flip := range []byte{1, 0x20} { // 0x20 makes a small letter a capital
				bad := raw
				bad[part] = bytes.Clone(raw[part])
				bad[part][i] ^= flip
				got := failedStep(t, evidence.Rezip(bad), c.policy)
				if !slices.Contains(may(part, i), got) {
					t.Fatalf("%s, byte %d of %d changed by %02x: failed step %q, want one of %q",
						evidence.PartNames[part], i, len(raw[part]), flip, got, may(part, i))
				}
				seen[got]++
			}
		}
		if part == 0 && (seen[evidence.StepInclusion] == 0 || seen[evidence.StepQuorum] == 0 || seen[evidence.StepCheckpoint] == 0) {
			t.Errorf("proof: steps reached %v, want all three", seen)
		}
	}
}

// TestContradictions puts evidence together wrongly, with every part well-formed by itself.
func TestContradictions(t *testing.T) {
	c := newCity(t)
	good, err := evidence.Unzip(c.file())
	c.must(err)
	proof, err := tiles.ParseProof(good[0])
	c.must(err)
	withProof := func(change func(p *tiles.Proof)) []byte {
		p, raw := *proof, good
		change(&p)
		raw[0] = p.Marshal()
		return evidence.Rezip(raw)
	}
	with := func(part int, data []byte) []byte {
		raw := good
		raw[part] = data
		return evidence.Rezip(raw)
	}
	checkpoint := func(signed []byte) []byte { return withProof(func(p *tiles.Proof) { p.Checkpoint = signed }) }
	stranger := newCity(t)
	opening := evidence.NewOpening(c.openings[index+1])

	for name, tc := range map[string]struct {
		file []byte
		want evidence.Step
	}{
		"nothing changed":            {withProof(func(*tiles.Proof) {}), ""},
		"index of the next entry":    {withProof(func(p *tiles.Proof) { p.Index++ }), evidence.StepInclusion},
		"index beyond the log":       {withProof(func(p *tiles.Proof) { p.Index = logSize }), evidence.StepInclusion},
		"a hash too few":             {withProof(func(p *tiles.Proof) { p.Hashes = p.Hashes[1:] }), evidence.StepInclusion},
		"a hash too many":            {withProof(func(p *tiles.Proof) { p.Hashes = append([]tiles.Hash{{}}, p.Hashes...) }), evidence.StepInclusion},
		"extra data":                 {withProof(func(p *tiles.Proof) { p.Extra = []byte("x") }), evidence.StepCheckpoint},
		"leaf of another entry":      {with(1, c.leaves[index+1]), evidence.StepInclusion},
		"leaf and a byte more":       {with(1, append(bytes.Clone(good[1]), 0)), "unreadable"},
		"no leaf":                    {with(1, nil), evidence.StepInclusion},
		"record of another entry":    {with(2, c.payloads[index+1]), evidence.StepOpening},
		"opening of another entry":   {with(3, []byte(`{"v":1,"opening":"`+opening.Opening+"\"}\n")), evidence.StepOpening},
		"opening in capitals":        {with(3, bytes.ToUpper(good[3])), evidence.StepOpening},
		"opening with a space":       {with(3, bytes.Replace(good[3], []byte(","), []byte(", "), 1)), evidence.StepOpening},
		"policy with a comment more": {with(4, append(bytes.Clone(good[4]), "# \n"...)), evidence.StepPolicy},
		"somebody else's policy":     {with(4, stranger.policy.Text()), evidence.StepPolicy},
		"another README":             {with(5, []byte("all is well\n")), evidence.StepReadme},
		"one witness":                {checkpoint(c.checkpoint(1)), evidence.StepQuorum},
		"one witness twice":          {checkpoint(append(c.checkpoint(1), lastLine(c.checkpoint(1))...)), evidence.StepCheckpoint},
		"no witness":                 {checkpoint(c.checkpoint()), evidence.StepQuorum},
		"one and a stranger":         {checkpoint(append(c.checkpoint(1), lastLine(stranger.checkpoint(1))...)), evidence.StepQuorum},
		"two and a stranger":         {checkpoint(append(c.checkpoint(0, 2), lastLine(stranger.checkpoint(1))...)), evidence.StepQuorum},
		"witnesses out of order":     {checkpoint(c.checkpoint(2, 0)), evidence.StepQuorum},
		"another quorum, old README": {checkpoint(c.checkpoint(0, 1)), evidence.StepReadme},
		"a stranger's log":           {checkpoint(stranger.checkpoint(0, 1)), evidence.StepCheckpoint},
		"witnesses but no log":       {checkpoint(withoutLog(t, c.checkpoint(0, 1))), evidence.StepCheckpoint},
	} {
		t.Run(name, func(t *testing.T) { wantStep(t, tc.file, c.policy, tc.want) })
	}
	t.Run("trusting another policy", func(t *testing.T) {
		wantStep(t, evidence.Rezip(good), stranger.policy, evidence.StepPolicy)
	})
	t.Run("trusting no policy at all", func(t *testing.T) {
		var bad *evidence.PolicyError
		if _, err := evidence.Verify(evidence.Rezip(good), []byte("quorum none\n")); !errors.As(err, &bad) {
			t.Errorf("got %v, want a PolicyError", err)
		}
	})
}

// lastLine is the last signature line of a note.
func lastLine(signed []byte) []byte {
	lines := bytes.SplitAfter(signed, []byte("\n"))
	return lines[len(lines)-2]
}

func withoutLog(t testing.TB, signed []byte) []byte {
	n, err := tiles.ParseNote(signed)
	if err != nil {
		t.Fatal(err)
	}
	n.Signatures = n.Signatures[1:]
	return n.Marshal()
}

// TestDishonestLog has a log commit, properly signed and witnessed, to something that is no record or contradicts its leaf.
func TestDishonestLog(t *testing.T) {
	c := newCity(t)
	p := payload(t, logSize)
	c.append(p, func(l *record.Leaf) { l.Kind = record.KindHeartbeat })
	c.append(payload(t, logSize), nil) // its leaf is one second later
	spaced := bytes.Replace(payload(t, logSize+2), []byte(`"seq":`), []byte(`"seq": `), 1)
	c.append(spaced, nil)
	c.append([]byte("not JSON"), nil)
	signed := c.checkpoint(0, 1, 2)
	for i, name := range []string{"other kind", "other time", "spaces in the JSON", "no JSON"} {
		t.Run(name, func(t *testing.T) {
			_, _, err := evidence.New(c.evidence(uint64(logSize+i), signed))
			var step *evidence.StepError
			if !errors.As(err, &step) || step.Step != evidence.StepRecord {
				t.Errorf("got %v, want step record", err)
			}
		})
	}
}

// TestNewFilters wants New to leave strangers out and bring the lines into order, and to refuse what Verify would.
func TestNewFilters(t *testing.T) {
	c, stranger := newCity(t), newCity(t)
	signed := append(c.checkpoint(2, 1), lastLine(stranger.checkpoint(0))...)
	e, report, err := evidence.New(c.evidence(index, signed))
	c.must(err)
	verified, err := evidence.Verify(c.write(e), c.policy.Text())
	c.must(err)
	if verified.Index != report.Index || len(report.Witnesses) != 2 || report.Witnesses[0].Name != "audit-office" {
		t.Errorf("report %+v", report)
	}
	for want, parts := range map[evidence.Step]evidence.Parts{
		evidence.StepQuorum:     c.evidence(index, c.checkpoint(2)),
		evidence.StepCheckpoint: c.evidence(index, stranger.checkpoint(1, 2)),
	} {
		var step *evidence.StepError
		if _, _, err := evidence.New(parts); !errors.As(err, &step) || step.Step != want {
			t.Errorf("got %v, want step %s", err, want)
		}
	}
}

// TestZIP wants any ZIP reader to find the parts, and refuses the same parts packed by another writer.
func TestZIP(t *testing.T) {
	c := newCity(t)
	file := c.file()
	raw, err := evidence.Unzip(file)
	c.must(err)
	z, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	c.must(err)
	if len(z.File) != len(raw) {
		t.Fatalf("%d files in the ZIP", len(z.File))
	}
	var repacked bytes.Buffer
	w := zip.NewWriter(&repacked)
	for i, f := range z.File {
		r, err := f.Open()
		c.must(err)
		data, err := io.ReadAll(r)
		c.must(err)
		if f.Name != evidence.PartNames[i] || !bytes.Equal(data, raw[i]) || f.Mode() != 0o644 {
			t.Errorf("part %d: name %q, mode %v, %d bytes", i, f.Name, f.Mode(), len(data))
		}
		part, err := w.Create(f.Name)
		c.must(err)
		_, err = part.Write(data)
		c.must(err)
	}
	c.must(w.Close())
	wantStep(t, repacked.Bytes(), c.policy, evidence.StepContainer)
}

func TestUnreadable(t *testing.T) {
	c := newCity(t)
	file := c.file()
	huge := bytes.Clone(file)
	copy(huge[22:], []byte{0xff, 0xff, 0xff, 0x7f})
	for name, bad := range map[string][]byte{
		"nothing":              {},
		"text":                 []byte("hello\n"),
		"a tlog-proof":         []byte("c2sp.org/tlog-proof@v1\nindex 0\n\n"),
		"an empty ZIP":         []byte("PK\x05\x06" + strings.Repeat("\x00", 18)),
		"first part only":      file[:2000],
		"a part of 2 GiB":      huge,
		"beyond 256 MiB":       make([]byte, evidence.MaxFile+1),
		"parts in other order": append(bytes.Clone(file[bytes.Index(file, []byte("PK\x03\x04"))+4:]), file...),
	} {
		t.Run(name, func(t *testing.T) { wantStep(t, bad, c.policy, "unreadable") })
	}
	// Without its second part.
	second := bytes.Index(file[4:], []byte("PK\x03\x04")) + 4
	third := bytes.Index(file[second+4:], []byte("PK\x03\x04")) + second + 4
	wantStep(t, slices.Concat(file[:second], file[third:]), c.policy, "unreadable")
}

func TestEscape(t *testing.T) {
	in := "a\x1b[31m\n\t\\王\u202eb\u0085\xff\u200b\U000e0041"
	want := `a\u{1b}[31m\n\t\\王\u{202e}b\u{85}\u{fffd}\u{200b}\u{e0041}`
	if got := evidence.Escape(in); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
