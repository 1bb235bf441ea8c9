package policy

import "slices"

// carried decides a text by what was decided on its template, the earlier text of the same shape: only the statements' own
// texts and the values that name persons differ. It is false where that cannot be told, and the text must be judged itself.
func (p *Policy) carried(r Request, s *standing, key decisionKey) (Decision, bool) {
	t := r.Analysis.Template()
	if t == nil {
		return Decision{}, false
	}
	key.analysis = t
	d, ok := p.memory.decisions.Get(key)
	if !ok {
		like := r
		like.Analysis, like.Text = t, t.Source()
		made := p.newJudge(&like, s).text(t)
		d = &made
		p.memory.decisions.Add(key, d, d.bytes())
	}
	if !d.Allow {
		return *d, true
	}
	out := *d
	out.Plans = slices.Clone(d.Plans)
	b := p.bind(r.Analysis.Catalogue)
	for i := range out.Plans {
		plan, was := &out.Plans[i], d.Plans[i].Statement
		if was != &t.Statements[i] {
			return Decision{}, false
		}
		plan.Statement = &r.Analysis.Statements[i]
		plan.Pinned = b.pinned(plan.Statement)
		if plan.Rows != "" {
			return Decision{}, false // rewritten in more places than one
		}
		if plan.Text == "" {
			continue
		}
		added := len(plan.Text) - len(was.Text)
		if added <= 0 || was.Text[:plan.at]+plan.Text[plan.at:plan.at+added]+was.Text[plan.at:] != plan.Text {
			return Decision{}, false // rewritten by more than columns added at one place
		}
		at := r.Analysis.Moved(i, plan.at)
		plan.Text = plan.Statement.Text[:at] + plan.Text[plan.at:plan.at+added] + plan.Statement.Text[at:]
		plan.at = at
	}
	return out, true
}
