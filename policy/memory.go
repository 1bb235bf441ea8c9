package policy

import (
	"strings"
	"time"
	"unsafe"

	lru "github.com/hashicorp/golang-lru/v2"

	"shiguan/policy/recent"
	"shiguan/policy/sql"
)

// How much a policy remembers. An analysis stays reachable while a decision on it is remembered.
const (
	rememberedCatalogues = 16
	rememberedStandings  = 1 << 20 // bytes
	rememberedDecisions  = 16 << 20
)

// memory keeps what was worked out before. It never changes an answer: a decision depends on the analysis, on the person
// and on which of the person's rules hold, and these are its key.
type memory struct {
	bindings  *lru.Cache[*sql.Catalogue, *binding]
	standings *recent.Cache[circumstances, *standing]
	decisions *recent.Cache[decisionKey, *Decision]
	pairs     *recent.Cache[pair, *Decision]
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
	bindings, err := lru.New[*sql.Catalogue, *binding](rememberedCatalogues)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &memory{
		bindings:  bindings,
		standings: recent.New[circumstances, *standing](rememberedStandings),
		decisions: recent.New[decisionKey, *Decision](rememberedDecisions),
		pairs:     recent.New[pair, *Decision](rememberedDecisions),
	}
}

// circumstances are what the conditions of rules may look at, but the clock: of that the hour of the week.
type circumstances struct {
	person                                       Person
	database, role, application, client, purpose string
	hour                                         int
}

// standing is which rules speak of a person and which of them hold.
type standing struct {
	rules   []*rule // sorted by id
	holding []*rule
	dormant []*rule
	bits    uint64 // bit i: rules[i] holds, for the first maxRemembered
	brief   bool   // a condition looks at the clock more closely than at the hour
}

// standing evaluates the conditions of a person's rules, or remembers how they came out.
func (p *Policy) standing(r Request) *standing {
	c := circumstances{r.Person, r.Database, r.Role, r.Application, r.Client, r.Purpose, hourOfWeek(r.Time)}
	if s, ok := p.memory.standings.Get(c); ok {
		return s
	}
	s := p.newStanding(r)
	if !s.brief {
		p.memory.standings.Add(c, s, int(unsafe.Sizeof(c))+int(unsafe.Sizeof(*s))+len(c.application)+len(c.client)+len(c.purpose)+16*len(s.rules))
	}
	return s
}

func (p *Policy) newStanding(r Request) *standing {
	s := &standing{}
	for _, rule := range p.rules {
		if !rule.appliesTo(r.Person) {
			continue
		}
		s.brief = s.brief || rule.granted != nil || rule.when != nil && rule.when.clock()
		if rule.applies(&r) {
			s.holding = append(s.holding, rule)
			s.bits |= 1 << min(len(s.rules), maxRemembered-1)
		} else if rule.granted == nil {
			s.dormant = append(s.dormant, rule)
		}
		s.rules = append(s.rules, rule)
	}
	return s
}

func hourOfWeek(t time.Time) int {
	t = t.In(shanghai)
	return int(t.Weekday())*24 + t.Hour()
}

// clock says that the condition may look at time.now, which is never the same again.
func (c *condition) clock() bool { return strings.Contains(c.text, "now") }

// bytes is about how much memory a decision takes beside its analysis.
func (d *Decision) bytes() int {
	n := int(unsafe.Sizeof(*d)) + len(d.Rule) + len(d.Reason)
	for i := range d.Plans {
		p := &d.Plans[i]
		n += int(unsafe.Sizeof(*p)) + len(p.Text) + len(p.Outputs)*(int(unsafe.Sizeof(OutputPlan{}))+40) + len(p.Pinned)*int(unsafe.Sizeof(PinnedSubject{}))
	}
	return n
}
