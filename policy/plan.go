package policy

import (
	"fmt"
	"slices"

	"shiguan/policy/sql"
)

// plan says how an allowed statement is carried out. It may still refuse: when the mask of an output could not be applied,
// or when the persons whom rows are about could not be put on record.
func (j *judge) plan(a *sql.Analysis, i int, out *judgement) (Plan, *refusal) {
	s := &a.Statements[i]
	p := Plan{Statement: s, Transparent: out.open != nil, FilterErrors: j.touchesMasked(s, out), Pinned: j.binding.pinned(s)}
	base, text, refused := j.keepRows(a, i, out, &p)
	if refused != nil {
		return Plan{}, refused
	}
	rows := rowsOf(s)
	if refused := j.linkedWrite(s, out); refused != nil {
		return Plan{}, refused
	}
	switch {
	case s.Verb == sql.Explain:
		p.AnyOutputs = true
		return p, j.explained(s, out)
	case s.Verb == sql.Show:
		p.AnyOutputs = true
		return p, nil
	case rows == nil:
		return p, nil
	case !touchesData(rows):
		p.AnyOutputs = returnsRows(s)
		return p, nil
	}
	var outputs []OutputPlan
	if outputs, refused = j.outputs(rows.Outputs, out, s.Verb == sql.CopyOut); refused != nil {
		return Plan{}, refused
	}
	p.Outputs = outputs
	if refused := j.copied(s, outputs, out); refused != nil {
		return Plan{}, refused
	}
	further := *j
	further.source = text
	if refused := further.nameSubjects(base, i, rows, out, &p); refused != nil {
		return Plan{}, refused
	}
	if refused := j.settleOrder(a, i, rows, out, &p); refused != nil {
		return Plan{}, refused
	}
	if returnsRows(s) {
		p.MaxRows, p.Daily = out.rows, out.daily
	} else {
		p.Outputs, p.AboutPersons = nil, false // PREPARE and DECLARE were tried so that they fail early
	}
	return p, nil
}

// explained refuses EXPLAIN of tables with masked columns, used or not: the plan that is chosen, its costs, widths and row
// estimates come from how many pages a table has, which follows from the lengths of its values, and from statistics over them.
func (j *judge) explained(s *sql.Statement, out *judgement) *refusal {
	for ; s != nil; s = s.Inner {
		for _, t := range s.Tables {
			if _, masked := j.masked(sql.Column{Table: t.OID}, out); t.OID != 0 && masked {
				return &refusal{ruleID(out.reading[t.OID]), fmt.Sprintf("%s.%s has columns that are masked for you, and EXPLAIN tells of their sizes and statistics: leave EXPLAIN out", t.Schema, t.Name)}
			}
		}
	}
	return nil
}

// copied refuses forms of COPY TO whose rows cannot be taken apart again without doubt, where that is necessary.
func (j *judge) copied(s *sql.Statement, outputs []OutputPlan, out *judgement) *refusal {
	if s.Verb != sql.CopyOut || s.Copy == nil || out.open != nil {
		return nil
	}
	i := slices.IndexFunc(outputs, func(o OutputPlan) bool { return o.Mask != nil || o.Subject != "" })
	switch {
	case i < 0:
		return nil
	case s.Copy.Format == "binary":
		return &refusal{defaultDeny, fmt.Sprintf("%s must be masked or recorded and cannot be copied in binary format: use text or CSV", outputs[i].Column)}
	case s.Copy.Format == "text" && s.Copy.Null != plainNull:
		// Text format prints a value that equals the other NULL exactly like NULL: it would be a way to ask for values.
		return &refusal{defaultDeny, fmt.Sprintf("%s must be masked or recorded, so NULL may not be written otherwise than %s in text format: leave the option out, or use CSV", outputs[i].Column, plainNull)}
	}
	return nil
}

// plainNull is how COPY writes NULL in text format when it is not told otherwise. No value is written like it.
const plainNull = `\N`

// rowsOf is the statement whose rows are at stake: the one that runs, or the one inside. nil when there are none.
func rowsOf(s *sql.Statement) *sql.Statement {
	prepares := s.Verb == sql.Prepare || s.Verb == sql.Declare
	switch {
	case s.Outputs == nil && !prepares: // MOVE has a statement inside, and returns nothing of it
		return nil
	case s.Inner != nil:
		return rowsOf(s.Inner)
	case prepares:
		return nil
	}
	return s
}

// returnsRows reports whether rows leave when the statement itself runs.
func returnsRows(s *sql.Statement) bool { return s.Verb != sql.Prepare && s.Verb != sql.Declare }

// touchesData reports whether the statement touches any relation but the system's own.
func touchesData(s *sql.Statement) bool {
	return slices.ContainsFunc(s.Tables, func(t sql.TableUse) bool { return !isSystem(t.Schema) })
}

// masked reports whether the person may not see a column in clear, and the class it is masked by.
func (j *judge) masked(col sql.Column, out *judgement) (*class, bool) {
	if out.open != nil {
		return nil, false
	}
	if col.Att == 0 {
		for _, c := range j.binding.sensitiveIn(col.Table) {
			if k, masked := j.masked(c, out); masked {
				return k, true
			}
		}
		return nil, false
	}
	d := j.binding.columns[col]
	if d == nil {
		return nil, false
	}
	schema, table, name, ok := j.binding.catalogue.ColumnName(col)
	if r := out.reading[col.Table]; ok && r != nil && matchesAny(r.clear, schema, table, name) {
		return nil, false
	}
	return d.class, true
}

// touchesMasked reports whether errors and notices of the server could quote a value that the person may not see.
func (j *judge) touchesMasked(s *sql.Statement, out *judgement) bool {
	for ; s != nil; s = s.Inner {
		for _, t := range s.Tables {
			if _, masked := j.masked(sql.Column{Table: t.OID}, out); t.OID != 0 && masked {
				return true
			}
		}
	}
	return false
}

// outputs plans the columns of a result. Most of this was decided by use; what is left is to make sure that the mask lands
// on the column that the server will send.
func (j *judge) outputs(list []sql.Output, out *judgement, copied bool) ([]OutputPlan, *refusal) {
	plans := make([]OutputPlan, 0, len(list))
	for _, o := range list {
		p := OutputPlan{Server: o.Server}
		if o.Base == (sql.Column{}) {
			for _, col := range o.From {
				if _, masked := j.masked(col, out); masked {
					return nil, &refusal{ruleID(out.reading[col.Table]), fmt.Sprintf("%s is masked for you and may not be part of an expression: it may only be shown as it is", j.binding.name(col))}
				}
			}
			plans = append(plans, p)
			continue
		}
		p.Column = j.binding.name(o.Base)
		if k, masked := j.masked(o.Base, out); masked {
			if o.Base.Att == 0 || o.Server == (sql.Column{}) && !copied {
				return nil, &refusal{ruleID(out.reading[o.Base.Table]), fmt.Sprintf("%s is masked for you and may only be shown as a plain column of its table", p.Column)}
			}
			if p.Type = j.binding.baseType(o.Type); !k.mask.Supports(p.Type, 0) {
				return nil, &refusal{defaultDeny, fmt.Sprintf("%s is masked as %s, which its type cannot hold: the security administrator must give it another class", p.Column, k.name)}
			}
			p.Mask = k.mask
		}
		if subject, ok := j.binding.subjects[o.Base.Table]; ok && subject.column == o.Base {
			p.Subject = subject.namespace
		}
		plans = append(plans, p)
	}
	return plans, nil
}

func ruleID(r *rule) string {
	if r == nil {
		return defaultDeny
	}
	return r.id
}

// outputNames gives the names of a plan's columns, as far as the analysis knows them.
func outputNames(p *Plan) []string {
	names := make([]string, len(p.Outputs))
	rows := rowsOf(p.Statement)
	for i := range names {
		names[i] = p.Outputs[i].Column
		if rows != nil && i < len(rows.Outputs) {
			names[i] = rows.Outputs[i].Name
		}
	}
	return names
}
