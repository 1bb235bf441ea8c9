package evidence

import (
	_ "embed"
	"fmt"
	"strings"
)

// readmeTemplate is part of format version 1: a word changed in it makes all evidence written before fail its last step. Another
// text needs another version. A golden file in testdata keeps watch.
//
//go:embed readme.txt.in
var readmeTemplate string

// readmeMLDSA is put into the script where a key of the policy is an ML-DSA-44 key, which OpenSSL knows from 3.5 on. It is part of
// the format like the rest; with Ed25519 keys alone the text is without it.
//
//go:embed readme-mldsa.txt.in
var readmeMLDSA string

// Readme is README.txt: what the evidence says in plain language and how to check it. It is a pure function of what the other
// parts show, so nobody can put other words beside a true proof.
func Readme(r *Report) string {
	var what, who strings.Builder
	for _, f := range facts(r.Record) {
		fmt.Fprintf(&what, "    %-11s %s\n", f.name, f.value)
	}
	for _, c := range r.Witnesses {
		fmt.Fprintf(&who, "    %s  %s\n", Escape(c.Name), when(c.Time))
	}
	if len(r.Witnesses) == 0 {
		who.WriteString("    (none)\n")
	}
	mldsa, version := "", ""
	if r.mldsa {
		mldsa, version = readmeMLDSA, ".5"
	}
	return strings.NewReplacer(
		"{{ml-dsa-44}}", mldsa,
		"{{.5}}", version,
		"{{origin}}", Escape(r.Origin),
		"{{index}}", fmt.Sprint(r.Index),
		"{{size}}", fmt.Sprint(r.Size),
		"{{root}}", r.Root,
		"{{quorum}}", Escape(r.Quorum),
		"{{facts}}", strings.TrimSuffix(what.String(), "\n"),
		"{{witnesses}}", strings.TrimSuffix(who.String(), "\n"),
	).Replace(readmeTemplate)
}
