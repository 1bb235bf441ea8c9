package tour

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"

	"shiguan/configs"
)

// tamper walks through what somebody may try who has the files, and the log's own key.
func (w *walker) tamper() {
	w.chapter("Somebody tampers, and is found out")
	w.step("evidence with another name in the record does not verify", func() error {
		return w.forgeEvidence("record.json", "civil_clerk", "fund_clerk_")
	})
	w.step("evidence with one flipped byte does not verify, wherever the byte is", w.flipEvidence)
	w.step("evidence does not verify against a policy that asks for more witnesses than signed", w.higherQuorum)
	w.step("an untouched copy of the log holds", func() error { return w.fsckCopy(0, nil) })
	w.step("a copy with one changed byte in a segment of the store is rejected", func() error {
		return w.fsckCopy(1, func(dir string) error { return flipIn(filepath.Join(dir, "segments")) })
	})
	w.step("a copy with one changed byte in a tile of the tree is rejected", func() error {
		return w.fsckCopy(1, func(dir string) error { return flipIn(filepath.Join(dir, "tile", "0")) })
	})
	w.step("a copy that lost its last records is rejected", func() error {
		return w.fsckCopy(1, func(dir string) error { return cutIn(filepath.Join(dir, "segments")) })
	})
	w.step("a forked head, signed with the log's real key, is refused by every witness", w.fork)
}

func (w *walker) needProof() ([]byte, error) {
	if w.proof == "" {
		return nil, errors.New("there is no evidence: an earlier step did not make it")
	}
	return os.ReadFile(w.proof)
}

// forgeEvidence writes the archive anew with one file changed, so that only the cryptography can tell.
func (w *walker) forgeEvidence(name, old, new string) error {
	text, err := w.needProof()
	if err != nil {
		return err
	}
	archive, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		return err
	}
	var forged bytes.Buffer
	out, changed := zip.NewWriter(&forged), false
	for _, f := range archive.File {
		content, err := readEntry(f)
		if err != nil {
			return err
		}
		if f.Name == name {
			changed = bytes.Contains(content, []byte(old))
			content = bytes.Replace(content, []byte(old), []byte(new), 1)
		}
		// The header says how the entry is stored and dated; sizes and checksums are computed anew.
		header := f.FileHeader
		header.CRC32, header.CompressedSize64, header.UncompressedSize64 = 0, 0, 0
		entry, err := out.CreateHeader(&header)
		if err == nil {
			_, err = entry.Write(content)
		}
		if err != nil {
			return err
		}
	}
	if err := out.Close(); err != nil {
		return err
	}
	if !changed {
		return fmt.Errorf("%s of the evidence does not hold %q", name, old)
	}
	file := filepath.Join(w.tmp, "forged.evidence")
	if err := os.WriteFile(file, forged.Bytes(), 0o600); err != nil {
		return err
	}
	return w.rejects([]int{1, 2}, "verify", "--policy", w.m.QuorumPolicy, file)
}

func readEntry(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func (w *walker) flipEvidence() error {
	text, err := w.needProof()
	if err != nil {
		return err
	}
	file := filepath.Join(w.tmp, "flipped.evidence")
	for part := range 8 {
		flipped := bytes.Clone(text)
		at := len(flipped) * (2*part + 1) / 16
		flipped[at] ^= 1
		if err := os.WriteFile(file, flipped, 0o600); err != nil {
			return err
		}
		if err := w.rejects([]int{1, 2}, "verify", "--policy", w.m.QuorumPolicy, file); err != nil {
			return fmt.Errorf("byte %d of %d: %w", at, len(text), err)
		}
	}
	return nil
}

// higherQuorum asks for one witness that signs nothing.
func (w *walker) higherQuorum() error {
	if _, err := w.needProof(); err != nil {
		return err
	}
	var policy strings.Builder
	fmt.Fprintf(&policy, "log %s\n", w.m.LogVKey)
	names := ""
	for _, one := range w.m.Witnesses {
		fmt.Fprintf(&policy, "witness %s %s\n", one.Department, one.VKey)
		names += " " + one.Department
	}
	stranger, err := strangerVKey()
	if err != nil {
		return err
	}
	fmt.Fprintf(&policy, "witness stranger %s\ngroup all-of-them all%s stranger\nquorum all-of-them\n", stranger, names)
	file := filepath.Join(w.tmp, "higher.policy")
	if err := os.WriteFile(file, []byte(policy.String()), 0o600); err != nil {
		return err
	}
	return w.rejects([]int{1}, "verify", "--policy", file, w.proof)
}

func (w *walker) logDir() (string, error) {
	c, err := configs.LoadProxy(w.m.ProxyConfig)
	if err != nil {
		return "", err
	}
	return c.Log.Dir.String(), nil
}

// fsckCopy copies the log, does something to the copy and wants fsck to end with the given code.
func (w *walker) fsckCopy(want int, harm func(dir string) error) error {
	from, err := w.logDir()
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(w.tmp, "copy-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	to := filepath.Join(work, "log")
	if err := copyLog(from, to); err != nil {
		return fmt.Errorf("copy the log: %w", err)
	}
	if harm != nil {
		if err := harm(to); err != nil {
			return err
		}
	}
	c, err := configs.LoadInvestigator(w.m.Config)
	if err != nil {
		return err
	}
	c.Log = configs.LogSource{Dir: configs.Path(to)}
	c.Index = configs.Path(filepath.Join(work, "index.sqlite"))
	text, err := yaml.Marshal(c)
	if err != nil {
		return err
	}
	config := filepath.Join(work, "investigator.yaml")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		return err
	}
	return w.rejects([]int{want}, "fsck", "--config", config)
}

// copyLog copies the directory of a running log. What refers to something is copied before what it refers to: heads,
// then tiles and keys, then the store; the other way round the copy could name what it does not hold.
func copyLog(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	var heads, rest, store []string
	for _, e := range entries {
		switch {
		case e.Name() == "segments":
			store = append(store, e.Name())
		case e.IsDir():
			rest = append(rest, e.Name())
		default:
			heads = append(heads, e.Name())
		}
	}
	for _, name := range append(append(heads, rest...), store...) {
		if err := copyTree(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return nil
}

func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return ignoreGone(err)
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		if !entry.Type().IsRegular() || strings.HasSuffix(path, ".tmp") {
			return nil
		}
		return ignoreGone(copyFile(path, target))
	})
}

func copyFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// largest returns the file below dir with the most bytes before its trailing zeroes, and their number.
func largest(dir string) (file string, used int, err error) {
	err = filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if n := len(bytes.TrimRight(text, "\x00")); n > used {
			file, used = path, n
		}
		return err
	})
	if err == nil && used == 0 {
		err = fmt.Errorf("nothing is written below %s", dir)
	}
	return file, used, err
}

// flipIn changes one bit in the middle of what is written below dir.
func flipIn(dir string) error {
	return change(dir, func(text []byte, used int) { text[used/2] ^= 1 })
}

// cutIn overwrites the last third of what is written below dir with zeroes, as if it had never been written.
func cutIn(dir string) error {
	return change(dir, func(text []byte, used int) { clear(text[used*2/3:]) })
}

func change(dir string, how func(text []byte, used int)) error {
	file, used, err := largest(dir)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	how(text, used)
	return os.WriteFile(file, text, 0o600)
}
