package sql

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
)

// firstUserOID is FirstNormalObjectId: what has a smaller OID came with PostgreSQL's initdb.
const firstUserOID = 16384

// Catalogue is one immutable snapshot of what names mean in a database, indexed for the analyser. It may be shared by any
// number of goroutines; only the expansion of views is computed late, once each.
type Catalogue struct {
	snapshot Snapshot
	version  string
	// fingerprint is what Fingerprint answered when the snapshot was read; "" when it was not read from a server.
	fingerprint string
	schemas     map[string]uint32
	names       map[uint32]string // namespace OID to name
	relations   map[uint32]*Relation
	relByName   map[objectName]*Relation
	rowTypes    map[uint32]*Relation // composite type to its relation
	children    map[uint32][]uint32
	parents     map[uint32][]uint32
	types       map[uint32]*Type
	typByName   map[objectName]*Type
	functions   map[string][]*Function
	funcByOID   map[uint32]*Function
	operators   map[string][]*Operator
	exactOps    map[operatorKey]*Operator
	casts       map[[2]uint32]*Cast
	userCasts   []*Cast // those that run a function which did not come with PostgreSQL

	mu    sync.Mutex
	views map[uint32]*view
}

type operatorKey struct {
	namespace   uint32
	name        string
	left, right uint32
}

type objectName struct {
	namespace uint32
	name      string
}

// NewCatalogue indexes a snapshot. The snapshot must not be changed afterwards.
func NewCatalogue(s Snapshot) (*Catalogue, error) {
	c := &Catalogue{
		snapshot:  s,
		schemas:   make(map[string]uint32, len(s.Namespaces)),
		names:     make(map[uint32]string, len(s.Namespaces)),
		relations: make(map[uint32]*Relation, len(s.Relations)),
		relByName: make(map[objectName]*Relation, len(s.Relations)),
		rowTypes:  make(map[uint32]*Relation, len(s.Relations)),
		children:  make(map[uint32][]uint32),
		parents:   make(map[uint32][]uint32),
		types:     make(map[uint32]*Type, len(s.Types)),
		typByName: make(map[objectName]*Type, len(s.Types)),
		functions: make(map[string][]*Function, len(s.Functions)),
		funcByOID: make(map[uint32]*Function, len(s.Functions)),
		operators: make(map[string][]*Operator, 256),
		exactOps:  make(map[operatorKey]*Operator, len(s.Operators)),
		casts:     make(map[[2]uint32]*Cast, len(s.Casts)),
		views:     make(map[uint32]*view),
	}
	for _, n := range s.Namespaces {
		c.schemas[n.Name], c.names[n.OID] = n.OID, n.Name
	}
	if _, ok := c.schemas["pg_catalog"]; !ok {
		return nil, fmt.Errorf("catalogue snapshot has no schema pg_catalog: read it with Load or start from Builtin")
	}
	for i := range s.Relations {
		if err := c.addRelation(&s.Relations[i]); err != nil {
			return nil, err
		}
	}
	for _, in := range s.Inherits {
		c.children[in.Parent] = append(c.children[in.Parent], in.Child)
		c.parents[in.Child] = append(c.parents[in.Child], in.Parent)
	}
	for i := range s.Types {
		t := &s.Types[i]
		c.types[t.OID], c.typByName[objectName{t.Namespace, t.Name}] = t, t
	}
	for i := range s.Functions {
		f := &s.Functions[i]
		c.functions[f.Name], c.funcByOID[f.OID] = append(c.functions[f.Name], f), f
	}
	for i := range s.Operators {
		o := &s.Operators[i]
		c.operators[o.Name] = append(c.operators[o.Name], o)
		c.exactOps[operatorKey{o.Namespace, o.Name, o.Left, o.Right}] = o
	}
	for i := range s.Casts {
		k := &s.Casts[i]
		c.casts[[2]uint32{k.Source, k.Target}] = k
		if !isSystem(k.Function) {
			c.userCasts = append(c.userCasts, k)
		}
	}
	// encoding/json writes struct fields in order, so equal snapshots have equal versions.
	text, err := json.Marshal(&s)
	if err != nil {
		return nil, fmt.Errorf("fingerprint of the catalogue: %w", err)
	}
	sum := sha256.Sum256(text)
	c.version = hex.EncodeToString(sum[:16])
	return c, nil
}

func (c *Catalogue) addRelation(r *Relation) error {
	if len(r.Kind) != 1 {
		return fmt.Errorf("relation %s in the catalogue snapshot has kind %q, want one letter", r.Name, r.Kind)
	}
	r.schema = c.names[r.Namespace]
	c.relations[r.OID], c.relByName[objectName{r.Namespace, r.Name}] = r, r
	if r.RowType != 0 {
		c.rowTypes[r.RowType] = r
	}
	return nil
}

// Version is a fingerprint of the content: two catalogues with the same version resolve every text alike.
func (c *Catalogue) Version() string { return c.version }

// Fingerprint is what the function Fingerprint answered for the state this catalogue shows; "" when no server was asked.
func (c *Catalogue) Fingerprint() string { return c.fingerprint }

// Snapshot returns the data the catalogue was made from. It must not be changed.
func (c *Catalogue) Snapshot() Snapshot { return c.snapshot }

// Major is the server's major version, e.g. 15.
func (c *Catalogue) Major() int { return c.snapshot.ServerVersion / 10000 }

// Schema returns the name of the relation's schema.
func (r *Relation) Schema() string { return r.schema }

// Relation finds a relation by OID; nil when there is none.
func (c *Catalogue) Relation(oid uint32) *Relation { return c.relations[oid] }

// Lookup finds a relation by its qualified name; nil when there is none.
func (c *Catalogue) Lookup(schema, name string) *Relation {
	ns, ok := c.schemas[schema]
	if !ok {
		return nil
	}
	return c.relByName[objectName{ns, name}]
}

// Attribute finds a live column of the relation by name.
func (r *Relation) Attribute(name string) (Attribute, bool) {
	for _, a := range r.Attributes {
		if a.Name == name && !a.Dropped {
			return a, true
		}
	}
	return Attribute{}, false
}

// Column finds a column by qualified name.
func (c *Catalogue) Column(schema, table, name string) (Column, bool) {
	r := c.Lookup(schema, table)
	if r == nil {
		return Column{}, false
	}
	a, ok := r.Attribute(name)
	return Column{r.OID, a.Num}, ok
}

// ColumnName is the reverse of Column. The whole row is named "*".
func (c *Catalogue) ColumnName(col Column) (schema, table, name string, ok bool) {
	r := c.relations[col.Table]
	if r == nil {
		return "", "", "", false
	}
	if col.Att == 0 {
		return r.schema, r.Name, "*", true
	}
	for n, att := range systemColumns {
		if att.num == col.Att {
			return r.schema, r.Name, n, true
		}
	}
	for _, a := range r.Attributes {
		if a.Num == col.Att && !a.Dropped {
			return r.schema, r.Name, a.Name, true
		}
	}
	return "", "", "", false
}

// isSystem says that the object came with PostgreSQL.
func isSystem(oid uint32) bool { return oid < firstUserOID }
