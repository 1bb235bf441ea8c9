package policy

import (
	lru "github.com/hashicorp/golang-lru/v2"

	"shiguan/policy/sql"
)

// How much a policy remembers. An analysis stays reachable while a decision on it is remembered.
const (
	rememberedCatalogues = 16
	rememberedPersons    = 4096
	rememberedDecisions  = 4096
	longText             = 4 << 10 // bytes; decisions on longer texts are worked out each time
)

// memory keeps what was worked out before. It never changes an answer: a decision depends on the analysis, on the person
// and on which of the person's rules hold, and these are its key.
type memory struct {
	bindings  *lru.Cache[*sql.Catalogue, *binding]
	persons   *lru.Cache[Person, []*rule]
	decisions *lru.Cache[decisionKey, *Decision]
}

type decisionKey struct {
	analysis *sql.Analysis
	person   Person
	holding  uint64 // bit i: the person's i-th rule holds
	purpose  bool
}

// maxRemembered is how many rules of one person fit in a key; decisions for a person with more are worked out each time.
const maxRemembered = 64

func newMemory() *memory {
	return &memory{
		bindings:  newCache[*sql.Catalogue, *binding](rememberedCatalogues),
		persons:   newCache[Person, []*rule](rememberedPersons),
		decisions: newCache[decisionKey, *Decision](rememberedDecisions),
	}
}

func newCache[K comparable, V any](size int) *lru.Cache[K, V] {
	c, err := lru.New[K, V](size)
	if err != nil {
		panic(err) // only for a size below 1, and the sizes are the constants above
	}
	return c
}

// rulesFor lists the rules that speak of a person, sorted by id.
func (p *Policy) rulesFor(person Person) []*rule {
	if rules, ok := p.memory.persons.Get(person); ok {
		return rules
	}
	rules := []*rule{}
	for _, r := range p.rules {
		if r.appliesTo(person) {
			rules = append(rules, r)
		}
	}
	p.memory.persons.Add(person, rules)
	return rules
}
