package policydesk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"gopkg.in/yaml.v3"

	"shiguan/policy/sql"
)

// Bounds of what Discover reads. A column is judged by at most so many values, a table in at most so long.
const (
	SampledRows    = 1000
	sampleTimeout  = 10 * time.Second
	longestSampled = 200 // characters of a value
	leastSampled   = 5   // values that are not NULL, below which nothing is proposed
	maxTables      = 20_000
)

// Proposal is a column that a policy should call sensitive, and why.
type Proposal struct {
	Table   string `json:"table"` // schema.table, as policies write it
	Column  string `json:"column"`
	Class   string `json:"class"`
	Subject bool   `json:"subject,omitempty"`
	Matched int    `json:"matched"` // of the sampled values, how many look so
	Sampled int    `json:"sampled"`
	Why     string `json:"why"`
}

// Discovery is what was found, and what could not be looked at.
type Discovery struct {
	Proposals []Proposal
	Tables    int      // looked at
	Columns   int      // looked at
	Skipped   []string // tables that could not be sampled, and why

	domains map[uint32]uint32 // to the types they are over
}

// Discover samples the columns of every table of a database and proposes classes. It reads in a transaction that cannot
// write, a bounded number of rows of each table, and keeps nothing but counts. progress may be nil.
func Discover(ctx context.Context, conn *pgx.Conn, progress func(done, total uint64)) (*Discovery, error) {
	cat, err := sql.Load(ctx, conn)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, "SET default_transaction_read_only = on"); err != nil {
		return nil, fmt.Errorf("the session cannot be made read-only: %w", err)
	}
	s := cat.Snapshot()
	var tables []*sql.Relation
	for i := range s.Relations {
		if r := &s.Relations[i]; sampled(cat, r) {
			tables = append(tables, cat.Relation(r.OID))
		}
	}
	if len(tables) > maxTables {
		return nil, fmt.Errorf("the database has %d tables, more than %d: name fewer schemas to the role that looks", len(tables), maxTables)
	}
	d := &Discovery{}
	for i, r := range tables {
		if progress != nil {
			progress(uint64(i), uint64(len(tables)))
		}
		if err := d.table(ctx, conn, cat, r); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// sampled says that a relation holds rows of users that no other relation stands for: partitions are seen through their
// parent.
func sampled(cat *sql.Catalogue, r *sql.Relation) bool {
	schema := r.Schema()
	switch r.Kind {
	case "r", "p", "m", "f":
	default:
		return false
	}
	return r.OID >= 16384 && !strings.HasPrefix(schema, "pg_") && schema != "information_schema" &&
		len(cat.Ancestors(sql.Column{Table: r.OID})) == 0
}

// textual are the types that the kinds are spelled in; numbers may hold phone and card numbers.
var textual = map[uint32]bool{25: true, 1043: true, 1042: true, 19: true, 20: true, 1700: true}

func (d *Discovery) table(ctx context.Context, conn *pgx.Conn, cat *sql.Catalogue, r *sql.Relation) error {
	var columns []sql.Attribute
	for _, a := range r.Attributes {
		a.Type = d.base(cat, a.Type)
		if !a.Dropped && textual[a.Type] {
			columns = append(columns, a)
		}
	}
	d.Tables++
	if len(columns) == 0 {
		return nil
	}
	d.Columns += len(columns)
	name := policyName(r.Schema()) + "." + policyName(r.Name)
	counts, err := sample(ctx, conn, r, columns)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case conn.IsClosed():
		return fmt.Errorf("the connection was lost: %w", err)
	case err != nil:
		d.Skipped = append(d.Skipped, name+": "+reasonOf(err))
		return nil
	}
	subject := false
	for i, c := range counts {
		p, ok := c.proposal(columns[i].Name)
		if !ok {
			continue
		}
		p.Table, p.Column = name, columns[i].Name
		if p.Class == subjectClass && !subject && columns[i].Type != 20 && columns[i].Type != 1700 {
			p.Subject, subject = true, true
		}
		d.Proposals = append(d.Proposals, p)
	}
	return nil
}

// base follows domains.
func (d *Discovery) base(cat *sql.Catalogue, oid uint32) uint32 {
	if d.domains == nil {
		d.domains = map[uint32]uint32{}
		for _, t := range cat.Snapshot().Types {
			if t.Kind == "d" && t.Base != 0 {
				d.domains[t.OID] = t.Base
			}
		}
	}
	for range 32 {
		next, ok := d.domains[oid]
		if !ok {
			break
		}
		oid = next
	}
	return oid
}

// reasonOf is an error without anything of the database's contents.
func reasonOf(err error) string {
	var pg interface{ SQLState() string }
	if errors.As(err, &pg) {
		switch pg.SQLState() {
		case "42501":
			return "the role may not read it"
		case "57014":
			return fmt.Sprintf("it took longer than %s", sampleTimeout)
		}
		return "SQLSTATE " + pg.SQLState()
	}
	return "it could not be read"
}

// counted is what was seen of one column.
type counted struct {
	values int
	like   [16]int // beside kinds
}

// sample reads rows from all over a large table, and the first ones of a small table or one that cannot be sampled.
func sample(ctx context.Context, conn *pgx.Conn, r *sql.Relation, columns []sql.Attribute) ([]counted, error) {
	list := make([]string, len(columns))
	for i, a := range columns {
		list[i] = fmt.Sprintf("pg_catalog.left(%s::pg_catalog.text, %d)", pgx.Identifier{a.Name}.Sanitize(), longestSampled)
	}
	query := "SELECT " + strings.Join(list, ", ") + " FROM " + pgx.Identifier{r.Schema(), r.Name}.Sanitize()
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL statement_timeout = %d", sampleTimeout.Milliseconds())); err != nil {
		return nil, err
	}
	if r.Kind != "f" {
		var rows float64
		err := tx.QueryRow(ctx, "SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::float8 FROM pg_catalog.pg_class c WHERE c.oid = $1 OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree($1::oid::regclass))", r.OID).Scan(&rows)
		if err != nil {
			return nil, err
		}
		if rows > 20*SampledRows {
			// Whole pages are chosen: a few times as many rows as are wanted, so that they come from many.
			counts, err := read(ctx, tx, fmt.Sprintf("%s TABLESAMPLE SYSTEM (%.6f) REPEATABLE (1) LIMIT %d", query, min(100, 400*SampledRows/rows), SampledRows), len(columns))
			if err != nil || slices.ContainsFunc(counts, func(c counted) bool { return c.values > 0 }) {
				return counts, err
			}
		}
	}
	return read(ctx, tx, fmt.Sprintf("%s LIMIT %d", query, SampledRows), len(columns))
}

// read counts how many values of each column look like what. The values go no further.
func read(ctx context.Context, tx pgx.Tx, query string, columns int) ([]counted, error) {
	rows, err := tx.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	counts := make([]counted, columns)
	values := make([]*string, columns)
	into := make([]any, columns)
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		for i, v := range values {
			if v != nil && strings.TrimSpace(*v) != "" {
				counts[i].see(strings.TrimSpace(*v))
			}
		}
	}
	return counts, rows.Err()
}

func (c *counted) see(v string) {
	c.values++
	for k := range kinds {
		if kinds[k].is(v) {
			c.like[k]++
		}
	}
}

// proposal is the first kind that enough of the values look like.
func (c *counted) proposal(column string) (Proposal, bool) {
	if c.values < leastSampled {
		return Proposal{}, false
	}
	for k := range kinds {
		least := kinds[k].least
		if kinds[k].named.MatchString(column) {
			least = kinds[k].leastNamed
		}
		if c.like[k]*100 >= least*c.values {
			return Proposal{Class: kinds[k].class, Matched: c.like[k], Sampled: c.values,
				Why: fmt.Sprintf("%d of %d sampled values %s", c.like[k], c.values, kinds[k].what)}, true
		}
	}
	return Proposal{}, false
}

// policyName is a name as policies write it: in double quotes where it is not plain.
func policyName(name string) string {
	for i, r := range name {
		plain := r >= 'a' && r <= 'z' || r == '_' || i > 0 && (r >= '0' && r <= '9' || r == '$') || r >= 0x80
		if !plain {
			return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		}
	}
	return name
}

// WriteYAML writes the proposals as the data and classes of a policy, with the evidence beside each column.
func (d *Discovery) WriteYAML(w io.Writer) error {
	if len(d.Proposals) == 0 {
		_, err := fmt.Fprintln(w, "# Nothing was found that looks sensitive.")
		return err
	}
	data := &yaml.Node{Kind: yaml.MappingNode}
	var table *yaml.Node
	used := map[string]bool{}
	for i, p := range d.Proposals {
		if i == 0 || p.Table != d.Proposals[i-1].Table {
			table = &yaml.Node{Kind: yaml.MappingNode}
			data.Content = append(data.Content, scalar(p.Table), table)
		}
		spec := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle, Content: []*yaml.Node{scalar("class"), scalar(p.Class)}, LineComment: p.Why}
		if p.Subject {
			spec.Content = append(spec.Content, scalar("subject"), &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"})
		}
		table.Content = append(table.Content, scalar(p.Column), spec)
		used[p.Class] = true
	}
	classes := &yaml.Node{Kind: yaml.MappingNode}
	for _, k := range kinds {
		if !used[k.class] {
			continue
		}
		var mask yaml.Node
		if err := yaml.Unmarshal([]byte(k.mask), &mask); err != nil {
			return err
		}
		classes.Content = append(classes.Content, scalar(k.class), mask.Content[0])
	}
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(&yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{scalar("data"), data, scalar("classes"), classes}}); err != nil {
		return err
	}
	return e.Close()
}

func scalar(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
}
