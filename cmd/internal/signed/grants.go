package signed

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"shiguan/auditlog/tiles"
	"shiguan/policy"
)

// Bounds of the grants' directory.
const (
	maxGrantFiles = 2 * policy.MaxGrants
	maxGrantFile  = 2 * policy.MaxGrantBytes
)

// GrantSuffix is how files of grants end.
const GrantSuffix = ".grant"

// signatureBegin is what separates a grant's text from its signatures.
var signatureBegin = []byte("\n\n— ")

// GrantFile is a grant as it stands in a file. Grant is nil, and Err says why, where it may not be used.
type GrantFile struct {
	File   string
	Digest string // of the whole file
	Grant  *policy.Grant
	By     []string // officers who signed, also where they are not enough
	Err    error
}

// ParseGrantNote splits a file of a grant into its text and its signatures, of which a request has none.
func ParseGrantNote(content []byte) (*tiles.Note, error) {
	if !bytes.Contains(content, signatureBegin) {
		if len(content) > 0 && content[len(content)-1] != '\n' {
			content = append(slices.Clone(content), '\n')
		}
		return &tiles.Note{Text: content}, nil
	}
	return tiles.ParseNote(content)
}

// officerKeys reads the officers' keys; the names of keys are the officers' names.
func officerKeys(officers []policy.Officer) (verifiers, error) {
	vkeys := make([]string, len(officers))
	for i, o := range officers {
		vkeys[i] = o.Key
	}
	return parseKeys(vkeys)
}

// ReadGrant reads one file and verifies what it says against the policy and its officers.
func ReadGrant(file string, p *policy.Policy) GrantFile {
	g := GrantFile{File: file}
	info, err := os.Lstat(file)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is no file")
	}
	var content []byte
	if err == nil {
		content, err = readBounded(file, maxGrantFile)
	}
	if err != nil {
		g.Err = fmt.Errorf("the grant cannot be read: %w", err)
		return g
	}
	g.Digest = Digest(content)
	g.Grant, g.By, g.Err = verifyGrant(file, content, p)
	return g
}

func verifyGrant(file string, content []byte, p *policy.Policy) (*policy.Grant, []string, error) {
	n, err := ParseGrantNote(content)
	if err != nil {
		return nil, nil, err
	}
	g, err := p.Grant(file, n.Text)
	if err != nil {
		return nil, nil, err
	}
	keys, err := officerKeys(g.Officers())
	if err != nil {
		return g, nil, err
	}
	by, err := keys.verify(n)
	if err != nil {
		return g, nil, err
	}
	return g, by, g.Signed(by)
}

// ReadGrants reads the grants of a directory, sorted by file. It fails when the directory cannot be read, or holds too much.
func ReadGrants(dir string, p *policy.Policy) ([]GrantFile, error) {
	names, err := grantNames(dir)
	if err != nil {
		return nil, err
	}
	var list []GrantFile
	seen := map[string]bool{}
	for _, name := range names {
		g := ReadGrant(filepath.Join(dir, name), p)
		if g.Err == nil && seen[g.Grant.ID] {
			continue // the same grant in another file
		}
		if g.Err == nil {
			seen[g.Grant.ID] = true
		}
		list = append(list, g)
	}
	return list, nil
}

func grantNames(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(maxGrantFiles + 1)
	if err != nil && !errors.Is(err, io.EOF) { // which is how an empty directory ends
		return nil, err
	}
	if len(entries) > maxGrantFiles {
		return nil, fmt.Errorf("%s holds more than %d files: take away grants that have run out", dir, maxGrantFiles)
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), GrantSuffix) && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}
