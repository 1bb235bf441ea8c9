package proxy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"shiguan/auditlog/record"
	"shiguan/policy"
	"shiguan/policy/sql"
	"shiguan/proxy/wire"
)

// facts are what a record says of a statement besides its text and parameters. They depend on the plan alone.
type facts struct {
	tables  []string
	columns []record.ColumnUse
	masked  []string
}

func newFacts(p *policy.Plan) facts {
	f := factsOf(p.Statement)
	for i := range p.Outputs {
		if o := &p.Outputs[i]; o.Mask != nil && !slices.Contains(f.masked, o.Column) {
			f.masked = append(f.masked, o.Column)
		}
	}
	return f
}

func factsOf(s *sql.Statement) (f facts) {
	for _, t := range s.Tables {
		if name := t.Schema + "." + t.Name; !slices.Contains(f.tables, name) {
			f.tables = append(f.tables, name)
		}
	}
	for _, u := range s.Columns {
		cu := record.ColumnUse{Column: u.Schema + "." + u.TableName + "." + u.Name, Use: string(u.Use)}
		if !slices.Contains(f.columns, cu) {
			f.columns = append(f.columns, cu)
		}
	}
	if s.Inner != nil && len(f.tables) == 0 {
		return factsOf(s.Inner)
	}
	return f
}

// describeStatement fills the record of an allowed statement.
func (c *conn) describeStatement(r *record.Record, plan *policy.Plan, v *verdict, p *portal) {
	f := v.facts(plan)
	r.Statement = plan.Statement.Text
	if p != nil {
		r.Statement = p.of.text
		r.Params = appendParams(r.Params[:0], p)
	}
	r.Rewritten = plan.Text
	r.Tables, r.Columns, r.Masked = f.tables, f.columns, f.masked
	r.Decision, r.Rule, r.Grant = record.DecisionAllowed, v.decision.Rule, v.decision.Grant
	r.Policy, r.Purpose = v.epoch.policy.Digest(), v.purpose
	if len(plan.Pinned) > 0 {
		r.Subjects = c.pinned(plan, p)
	}
	if plan.Transparent {
		asUnread(r, plan, v)
	}
}

// facts are computed once for a verdict, however often its statement runs.
func (v *verdict) facts(plan *policy.Plan) facts {
	if v.known == nil {
		v.known = make([]facts, len(v.decision.Plans))
		for i := range v.known {
			v.known[i] = newFacts(&v.decision.Plans[i])
		}
	}
	for i := range v.decision.Plans {
		if &v.decision.Plans[i] == plan {
			return v.known[i]
		}
	}
	return newFacts(plan)
}

// describeRefused fills the record of a text that was not let through.
func (c *conn) describeRefused(r *record.Record, v *verdict, text string, p *portal) {
	r.SetStatement([]byte(text))
	if p != nil {
		r.Params = appendParams(r.Params[:0], p)
	}
	if v.analysis != nil {
		for i := range v.analysis.Statements {
			f := factsOf(&v.analysis.Statements[i])
			r.Tables = append(r.Tables, f.tables...)
			r.Columns = append(r.Columns, f.columns...)
		}
	}
	r.Decision, r.Rule, r.Reason = v.word, v.decision.Rule, v.decision.Reason
	r.Policy, r.Purpose, r.Detail = c.srv.policy.Load().Digest(), v.purpose, v.detail
	if v.failure != nil {
		r.Outcome = &record.Outcome{Seq: r.Seq, SQLState: v.failure.Code}
	}
}

// appendParams copies the parameters of a portal into a record.
func appendParams(dst []record.Param, p *portal) []record.Param {
	for i, value := range p.values.All() {
		format := p.params.Of(i)
		param := record.Param{Format: int(format), Null: value == nil}
		switch {
		case value == nil:
		case format == wire.FormatText && utf8.Valid(value):
			text := string(value)
			param.Text = &text
		default:
			param.Binary = value
		}
		dst = append(dst, param)
	}
	return dst
}

// pinned hashes the subjects that the statement's text or parameters name.
func (c *conn) pinned(plan *policy.Plan, p *portal) []record.Subject {
	var subjects []record.Subject
	for _, pin := range plan.Pinned {
		if pin.Param == 0 {
			subjects = append(subjects, c.pins.SubjectString(pin.Namespace, pin.Value))
			continue
		}
		if p == nil {
			continue
		}
		for i, value := range p.values.All() {
			// The value of a text parameter has the same bytes in both formats; policy pins text columns only.
			if i == pin.Param-1 && value != nil {
				subjects = append(subjects, c.pins.Subject(pin.Namespace, value))
			}
		}
	}
	return subjects
}

// joint stands between statements put together again. It begins a line: the text before may end in a comment.
const joint = "\n;\n"

// joinTexts puts a string of statements together again where one of them had to be rewritten.
func joinTexts(plans []policy.Plan) (string, bool) {
	if !slices.ContainsFunc(plans, func(p policy.Plan) bool { return p.Text != "" }) {
		return "", false
	}
	var b strings.Builder
	for i := range plans {
		if i > 0 {
			b.WriteString(joint)
		}
		if plans[i].Text != "" {
			b.WriteString(plans[i].Text)
		} else {
			b.WriteString(plans[i].Statement.Text)
		}
	}
	return b.String(), true
}

func refusalDetail(rule string, index uint64) string {
	return fmt.Sprintf("Rule %s; record %d of the audit log.", rule, index)
}

// unescapePercent decodes sqlcommenter's URL encoding; what is not encoded properly is taken as it stands.
func unescapePercent(s string) string {
	if decoded, err := url.PathUnescape(s); err == nil {
		return decoded
	}
	return s
}

// digest identifies a text that was too long to be kept.
type digest struct{ hash.Hash }

func newDigest() digest { return digest{sha256.New()} }

func (d digest) detail(long *wire.TooLongError) map[string]string {
	return map[string]string{
		"message": wire.ClientName(long.Type), "bytes": strconv.Itoa(long.Length),
		"sha256": hex.EncodeToString(d.Sum(nil)),
	}
}
