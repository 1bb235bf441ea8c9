package sql

// Snapshot is the part of a database's catalogue that decides what names mean, as plain data: what Load reads, what a
// file can hold, and what NewCatalogue indexes. OIDs below 16384 belong to PostgreSQL itself.
type Snapshot struct {
	ServerVersion int         `json:"server_version"` // server_version_num, e.g. 150018
	Database      string      `json:"database"`
	Namespaces    []Namespace `json:"namespaces"`
	Relations     []Relation  `json:"relations"`
	Inherits      []Inherit   `json:"inherits,omitempty"`
	Types         []Type      `json:"types"`
	Functions     []Function  `json:"functions"`
	Operators     []Operator  `json:"operators"`
	Casts         []Cast      `json:"casts"`
}

// Namespace is a schema.
type Namespace struct {
	OID  uint32 `json:"oid"`
	Name string `json:"name"`
}

// Relation is a row of pg_class with its attributes.
type Relation struct {
	OID       uint32 `json:"oid"`
	Namespace uint32 `json:"ns"`
	Name      string `json:"name"`
	Kind      string `json:"kind"` // pg_class.relkind: r v m f p S c
	RowType   uint32 `json:"rowtype,omitempty"`
	// Rules says that rules other than a view's own are attached, Triggers that user triggers are.
	Rules    bool `json:"rules,omitempty"`
	Triggers bool `json:"triggers,omitempty"`
	// Definition is pg_get_viewdef of a view or materialised view, written for search_path = pg_catalog. The views of
	// PostgreSQL itself have none: they are known by name.
	Definition string      `json:"def,omitempty"`
	Attributes []Attribute `json:"atts,omitempty"`

	schema string
}

// Attribute is a live or dropped column of a relation.
type Attribute struct {
	Num       int16  `json:"n"`
	Name      string `json:"name"`
	Type      uint32 `json:"type,omitempty"`
	Typmod    int32  `json:"mod,omitempty"` // pg_attribute.atttypmod + 1, so that the usual -1 is 0
	Dropped   bool   `json:"dropped,omitempty"`
	Default   bool   `json:"default,omitempty"`
	Generated bool   `json:"generated,omitempty"`
	// Fuzzy says that the column's collation calls different strings equal.
	Fuzzy bool `json:"fuzzy,omitempty"`
}

// Inherit is a row of pg_inherits: a child table or a partition.
type Inherit struct {
	Child  uint32 `json:"child"`
	Parent uint32 `json:"parent"`
}

// Type is a row of pg_type.
type Type struct {
	OID       uint32 `json:"oid"`
	Namespace uint32 `json:"ns"`
	Name      string `json:"name"`
	Kind      string `json:"kind"` // pg_type.typtype
	Category  string `json:"cat"`
	Preferred bool   `json:"pref,omitempty"`
	Element   uint32 `json:"elem,omitempty"`
	Array     uint32 `json:"array,omitempty"`
	Relation  uint32 `json:"rel,omitempty"`
	Base      uint32 `json:"base,omitempty"` // of a domain
}

// Function is a row of pg_proc: function, aggregate, window function or procedure.
type Function struct {
	OID        uint32   `json:"oid"`
	Namespace  uint32   `json:"ns"`
	Name       string   `json:"name"`
	Kind       string   `json:"kind"` // pg_proc.prokind
	Volatility string   `json:"vol"`  // i, s or v
	Definer    bool     `json:"definer,omitempty"`
	Args       []uint32 `json:"args,omitempty"` // input arguments
	Defaults   int      `json:"defaults,omitempty"`
	Variadic   uint32   `json:"variadic,omitempty"`
	Result     uint32   `json:"result"`
	Set        bool     `json:"set,omitempty"`
	OutNames   []string `json:"outnames,omitempty"`
	OutTypes   []uint32 `json:"outtypes,omitempty"`
}

// Operator is a row of pg_operator; Left is 0 for a prefix operator.
type Operator struct {
	OID       uint32 `json:"oid"`
	Namespace uint32 `json:"ns"`
	Name      string `json:"name"`
	Left      uint32 `json:"l,omitempty"`
	Right     uint32 `json:"r"`
	Result    uint32 `json:"result"`
	Function  uint32 `json:"f"`
}

// Cast is a row of pg_cast.
type Cast struct {
	OID      uint32 `json:"oid"`
	Source   uint32 `json:"s"`
	Target   uint32 `json:"t"`
	Function uint32 `json:"f,omitempty"`
	Context  string `json:"ctx"` // e, a or i
	Method   string `json:"m"`   // f, i or b
}
