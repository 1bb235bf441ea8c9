package sql

import "strings"

// unsafe says why a function may not simply be called: it is not PostgreSQL's own, it changes something, or it reads what
// its arguments name instead of what its arguments are. "" means that the result depends on the arguments, the session's
// own state and structural metadata only.
func (c *Catalogue) unsafe(f *Function) string {
	switch {
	case !isSystem(f.OID) && f.Definer:
		return "user-defined, runs with its owner's rights"
	case !isSystem(f.OID):
		return "user-defined"
	case f.Kind == "p":
		return "procedure"
	}
	if why, ok := unsafeNames[f.Name]; ok {
		return why
	}
	for prefix, why := range unsafePrefixes {
		if strings.HasPrefix(f.Name, prefix) {
			return why
		}
	}
	if f.Volatility == "v" {
		if _, ok := safeVolatile[f.Name]; !ok {
			return "volatile: may change something"
		}
	}
	return ""
}

// safeVolatile are volatile functions that neither change anything nor read rows: chance and clocks.
var safeVolatile = wordSet(`random random_normal clock_timestamp gen_random_uuid timeofday pg_is_in_recovery uuidv4 uuidv7
	array_shuffle array_sample pg_partition_ancestors pg_partition_tree`)

const (
	readsText     = "runs a query or reads a table given as text"
	readsFiles    = "reads files of the server"
	otherSessions = "shows what other sessions do"
	largeObjects  = "reads or writes large objects"
	settings      = "reads or changes settings"
	sizes         = "tells how large tables and indexes are, which follows from the values in them"
)

// unsafeNames are stable or immutable functions of pg_catalog that are unsafe all the same. Volatile ones need no mention
// here; some have one, for a better reason.
var unsafeNames = map[string]string{
	"query_to_xml": readsText, "query_to_xmlschema": readsText, "query_to_xml_and_xmlschema": readsText,
	"cursor_to_xml": readsText, "cursor_to_xmlschema": readsText,
	"table_to_xml": readsText, "table_to_xmlschema": readsText, "table_to_xml_and_xmlschema": readsText,
	"schema_to_xml": readsText, "schema_to_xmlschema": readsText, "schema_to_xml_and_xmlschema": readsText,
	"database_to_xml": readsText, "database_to_xmlschema": readsText, "database_to_xml_and_xmlschema": readsText,
	"ts_stat":       readsText,
	"pg_table_size": sizes, "pg_relation_size": sizes, "pg_total_relation_size": sizes, "pg_indexes_size": sizes,
	"pg_database_size": sizes, "pg_tablespace_size": sizes,
	"pg_stat_file":             readsFiles,
	"pg_config":                readsFiles,
	"lo_get":                   largeObjects,
	"loread":                   largeObjects,
	"lowrite":                  largeObjects,
	"set_config":               settings,
	"pg_notify":                "sends data to other sessions",
	"pg_stat_get_wal_receiver": otherSessions, "pg_stat_get_wal_senders": otherSessions, "pg_stat_get_activity": otherSessions,
	"pg_stat_get_subscription": otherSessions, "pg_stat_get_progress_info": otherSessions,
	"pg_prepared_statement": otherSessions, "pg_cursor": otherSessions, "pg_prepared_xact": otherSessions,
	"pg_lock_status": otherSessions, "pg_show_all_file_settings": readsFiles, "pg_hba_file_rules": readsFiles,
	"pg_ident_file_mappings": readsFiles, "pg_get_replication_slots": otherSessions,
	"pg_options_to_table": "shows options, which may hold passwords",
	"pg_mcv_list_items":   "shows samples of values",
	"currval":             "reads a sequence", "lastval": "reads a sequence", "nextval": "advances a sequence",
	"pg_sequence_last_value":        "reads a sequence",
	"pg_event_trigger_ddl_commands": otherSessions, "pg_event_trigger_dropped_objects": otherSessions,
}

var unsafePrefixes = map[string]string{
	"pg_read_":             readsFiles,
	"pg_ls_":               readsFiles,
	"lo_":                  largeObjects,
	"pg_logical_":          "reads the write-ahead log",
	"pg_walinspect":        "reads the write-ahead log",
	"pg_stat_get_":         "counts what all sessions read and write, in rows and blocks",
	"pg_replication_":      "changes replication",
	"binary_upgrade_":      "internal",
	"pg_get_wal_":          "reads the write-ahead log",
	"pg_show_replication_": otherSessions,
	"pg_restore_":          "changes statistics",
	"pg_stat_reset":        "changes statistics",
}

// publicSettings may be read with current_setting: those that clients ask for. Others may hold paths or secrets, and a
// setting with a dot in its name holds whatever someone put there.
var publicSettings = wordSet(`server_version server_version_num search_path timezone datestyle intervalstyle client_encoding
	server_encoding standard_conforming_strings integer_datetimes max_identifier_length block_size lc_collate lc_ctype
	lc_messages lc_monetary lc_numeric lc_time transaction_isolation transaction_read_only default_transaction_isolation
	default_transaction_read_only transaction_deferrable bytea_output extra_float_digits statement_timeout lock_timeout
	idle_in_transaction_session_timeout is_superuser session_authorization role application_name max_index_keys
	max_connections work_mem in_hot_standby default_tablespace row_security xmloption escape_string_warning
	password_encryption wal_level max_function_args data_checksums server_min_messages client_min_messages
	default_toast_compression default_table_access_method`)
