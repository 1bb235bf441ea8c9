package sql

import "slices"

// Ancestors are the columns that a query on a parent table reads in place of col: the columns of the same name in every
// table from which col's table inherits, or of which it is a partition. A policy on one of them must hold for col too.
func (c *Catalogue) Ancestors(col Column) []Column { return c.kin(col, c.parents) }

// Descendants are the columns that a query on col also reads: those of the same name in every child table and partition.
func (c *Catalogue) Descendants(col Column) []Column { return c.kin(col, c.children) }

func (c *Catalogue) kin(col Column, next map[uint32][]uint32) []Column {
	_, _, name, ok := c.ColumnName(col)
	if !ok || len(next[col.Table]) == 0 {
		return nil
	}
	var out []Column
	for _, oid := range c.family(col.Table, next) {
		if col.Att <= 0 {
			out = append(out, Column{oid, col.Att})
		} else if a, ok := c.relations[oid].Attribute(name); ok {
			out = append(out, Column{oid, a.Num})
		}
	}
	return out
}

// family walks pg_inherits from oid, which is not in the result, and visits each relation once.
func (c *Catalogue) family(oid uint32, next map[uint32][]uint32) []uint32 {
	var out []uint32
	queue := []uint32{oid}
	for len(queue) > 0 {
		for _, o := range next[queue[0]] {
			if o != oid && !slices.Contains(out, o) && c.relations[o] != nil {
				out, queue = append(out, o), append(queue, o)
			}
		}
		queue = queue[1:]
	}
	return out
}

// Origins are the base columns from which a column of a materialised view was computed: its content is a copy of theirs.
// For every other relation there are none. An error means that the definition could not be understood, so that nothing
// is known about what the column holds.
func (c *Catalogue) Origins(col Column) ([]Column, error) {
	r := c.relations[col.Table]
	if r == nil || r.Kind != "m" {
		return nil, nil
	}
	v := c.expand(r, 0)
	if v.err != nil {
		return nil, v.err
	}
	var out []Column
	for i, a := range liveAttributes(r) {
		if i < len(v.columns) && (col.Att == a.Num || col.Att == 0) {
			for _, s := range v.columns[i].from {
				out = appendColumn(out, s.column)
			}
		}
	}
	return out, nil
}

func appendColumn(list []Column, col Column) []Column {
	if slices.Contains(list, col) {
		return list
	}
	return append(list, col)
}

func liveAttributes(r *Relation) []Attribute {
	out := make([]Attribute, 0, len(r.Attributes))
	for _, a := range r.Attributes {
		if !a.Dropped {
			out = append(out, a)
		}
	}
	return out
}

type systemColumn struct {
	num int16
	typ uint32
}

// systemColumns are those every stored row has. Their values say nothing a policy classifies, but they are columns.
var systemColumns = map[string]systemColumn{
	"ctid": {-1, 27}, "xmin": {-2, 28}, "cmin": {-3, 29}, "xmax": {-4, 28}, "cmax": {-5, 29}, "tableoid": {-6, 26},
}

// SystemMetadata says that a relation of pg_catalog or information_schema describes structure only (tables, columns, types,
// functions, settings): no rows of users' tables, no text of other sessions' statements, no secrets. Clients need these
// for introspection; every other system relation is refused unless a rule names it.
func SystemMetadata(schema, name string) bool {
	switch schema {
	case "information_schema":
		return name != "user_mapping_options" && name != "_pg_user_mappings" && name != "foreign_server_options" &&
			name != "foreign_table_options" && name != "_pg_foreign_servers" && name != "_pg_foreign_tables"
	case "pg_catalog":
		_, ok := systemMetadata[name]
		return ok
	default:
		return false
	}
}

var systemMetadata = wordSet(`pg_aggregate pg_am pg_amop pg_amproc pg_attrdef pg_attribute pg_auth_members
	pg_available_extension_versions pg_available_extensions pg_cast pg_class pg_collation pg_constraint pg_conversion
	pg_database pg_db_role_setting pg_default_acl pg_depend pg_description pg_enum pg_event_trigger pg_extension
	pg_foreign_data_wrapper pg_foreign_table pg_group pg_index pg_indexes pg_inherits pg_init_privs pg_language
	pg_largeobject_metadata pg_matviews pg_namespace pg_opclass pg_operator pg_opfamily pg_parameter_acl
	pg_partitioned_table pg_policies pg_policy pg_proc pg_publication pg_publication_namespace pg_publication_rel
	pg_publication_tables pg_range pg_rewrite pg_roles pg_rules pg_seclabel pg_seclabels pg_sequence pg_settings
	pg_shdepend pg_shdescription pg_shseclabel pg_statistic_ext pg_tables pg_tablespace pg_timezone_abbrevs
	pg_timezone_names pg_transform pg_trigger pg_ts_config pg_ts_config_map pg_ts_dict pg_ts_parser pg_ts_template
	pg_type pg_user pg_views`)
