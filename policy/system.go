package policy

import (
	"strings"

	"shiguan/policy/sql"
)

// isSystem reports whether a schema holds the database's own description rather than data.
func isSystem(schema string) bool {
	return schema == "pg_catalog" || schema == "information_schema" || strings.HasPrefix(schema, "pg_toast")
}

// guardedSystem lists what sql.SystemMetadata counts as description but may carry secrets of an application: a rule must
// name it.
var guardedSystem = setOf(`pg_db_role_setting pg_largeobject_metadata pg_subscription_rel`)

// closedSystem lists what no rule but a transparent one can open: it holds values of tables (statistics, large objects),
// secrets, or lets a session read another's statements.
var closedSystem = setOf(`
	pg_authid pg_shadow pg_statistic pg_statistic_ext_data pg_stats pg_stats_ext pg_stats_ext_exprs pg_largeobject
	pg_subscription pg_user_mapping pg_user_mappings pg_hba_file_rules pg_ident_file_mappings
	pg_file_settings pg_stat_statements user_mapping_options user_mappings _pg_user_mappings`)

func setOf(names string) map[string]bool {
	set := map[string]bool{}
	for _, name := range strings.Fields(names) {
		set[name] = true
	}
	return set
}

// systemAccess is how a system relation may be reached.
type systemAccess int

const (
	systemFree   systemAccess = iota // by anyone
	systemRule                       // by a rule that names it exactly
	systemClosed                     // by no rule but a transparent one
)

// accessTo says how a system relation may be reached. The list of free ones is closed: a relation that a later PostgreSQL
// adds is refused until someone has looked at it.
func accessTo(schema, name string) systemAccess {
	switch {
	case closedSystem[name]:
		return systemClosed
	case guardedSystem[name]:
		return systemRule
	case sql.SystemMetadata(schema, name):
		return systemFree
	case schema == "pg_catalog" || schema == "information_schema":
		return systemRule
	}
	return systemClosed
}
