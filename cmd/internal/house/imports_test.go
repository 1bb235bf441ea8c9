package house_test

import (
	"slices"
	"strings"
	"testing"
)

// floors are the packages below the roof, lowest first. A package imports only from lower floors.
var floors = [][]string{
	{"proxy/wire", "proxy/poll", "auditlog/record", "policy/recent"},
	{"policy/sql", "policy/mask", "auditlog/tiles", "auditlog/record/seal"},
	{"proxy/session", "proxy/auth", "proxy/certs", "proxy/quota", "policy", "auditlog", "witness", "auditlog/evidence"},
	{"proxy", "auditlog/search", "witness/quorum"},
}

// walls are imports that a lower floor would allow and that the design forbids, as prefixes of paths in the module.
var walls = map[string][]string{
	"policy":            {"proxy", "auditlog", "witness"},
	"policy/sql":        {"proxy", "auditlog", "witness"},
	"policy/mask":       {"proxy", "auditlog", "witness", "policy/sql"},
	"auditlog":          {"proxy", "policy", "witness"},
	"auditlog/search":   {"proxy", "policy", "witness"},
	"auditlog/evidence": {"proxy", "policy", "witness", "auditlog/record/seal"},
	"witness":           {"auditlog", "proxy", "policy"},
	"witness/quorum":    {"proxy", "policy"},
	"configs":           {"cmd"},
}

// gates are exceptions to walls: what a package on the left may import all the same.
var gates = map[string][]string{
	"auditlog":          {"auditlog/record", "auditlog/record/seal", "auditlog/tiles"},
	"auditlog/search":   {"auditlog", "auditlog/record", "auditlog/record/seal", "auditlog/tiles"},
	"auditlog/evidence": {"auditlog/record", "auditlog/tiles"},
	"witness":           {"auditlog/tiles"},
}

func floorOf(path string) (int, bool) {
	for i, floor := range floors {
		if slices.Contains(floor, path) {
			return i, true
		}
	}
	return 0, false
}

func onRoof(path string) bool {
	return path == "configs" || strings.HasPrefix(path, "cmd/")
}

func TestImportsGoDownwards(t *testing.T) {
	for _, p := range modulePackages(t) {
		path := p.room()
		floor, housed := floorOf(path)
		if !housed && !onRoof(path) {
			t.Errorf("%s has no floor: write it into floors, or move it", path)
			continue
		}
		for _, imported := range p.own() {
			below, known := floorOf(imported)
			switch {
			case onRoof(path) && onRoof(imported):
				if path == "configs" {
					t.Errorf("%s imports %s: configs knows no command", path, imported)
				}
			case onRoof(path):
			case onRoof(imported):
				t.Errorf("%s imports %s, which is on the roof", path, imported)
			case known && below >= floor:
				t.Errorf("%s (floor %d) imports %s (floor %d): only lower floors", path, floor, imported, below)
			}
			if forbidden(path, imported) {
				t.Errorf("%s imports %s: there is a wall between them", path, imported)
			}
		}
	}
}

func forbidden(from, to string) bool {
	if slices.Contains(gates[from], to) {
		return false
	}
	for _, wall := range walls[from] {
		if to == wall || strings.HasPrefix(to, wall+"/") {
			return true
		}
	}
	return false
}

func TestTheRulesCatchWhatTheyForbid(t *testing.T) {
	for _, tt := range []struct {
		from, to string
		want     bool
	}{
		{"witness", "auditlog", true}, {"witness", "auditlog/tiles", false}, {"witness", "auditlog/record", true},
		{"policy", "auditlog/record", true}, {"policy", "policy/mask", false}, {"auditlog/evidence", "auditlog", false},
		{"auditlog/evidence", "auditlog/record/seal", true}, {"auditlog", "witness/quorum", true},
	} {
		if got := forbidden(tt.from, tt.to); got != tt.want {
			t.Errorf("%s imports %s: forbidden %v, want %v", tt.from, tt.to, got, tt.want)
		}
	}
}

// What must stay out of whole programs and rooms, however it got in.
func TestHeavyThingsStayOut(t *testing.T) {
	for _, rule := range []struct{ who, not string }{
		{"auditlog/record", "filippo.io/age"},
		{"auditlog/record", "golang.org/"},
		{"auditlog/tiles", "github.com/prometheus"},
		{"auditlog/evidence", "filippo.io/age"},
		{"auditlog/evidence", "github.com/"},
		{"proxy/wire", "github.com/"},
		{"proxy", "github.com/jackc/pgproto3/v2"},
		{"cmd/shiguan", "testing"},
		{"cmd/shiguan", "github.com/jackc/pgproto3/v2"},
	} {
		for _, p := range modulePackages(t) {
			if p.room() != rule.who {
				continue
			}
			for _, dep := range p.Deps {
				if dep == rule.not || strings.HasPrefix(dep, strings.TrimSuffix(rule.not, "/")+"/") {
					t.Errorf("%s depends on %s", rule.who, dep)
				}
			}
		}
	}
}
