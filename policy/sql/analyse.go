package sql

import (
	"fmt"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// Env is what a text's meaning depends on besides the catalogue: the state of the session that sends it.
type Env struct {
	SearchPath []string // effective: current_schemas(false); pg_catalog is looked in first when absent
	// TempSchema is the session's own temporary schema (pg_temp_3), "" while it has none. Catalogues do not hold temporary
	// relations, which would hide others of the same name: while there is one, unqualified relation names are refused.
	TempSchema string
	Role       string
	// ParamTypes are the types that the client's Parse message declares for $1, $2, …, 0 where it leaves one to the server;
	// they decide which operators and functions a text means. nil says that they are not known: then every type is
	// reckoned with. An empty list says that none is declared.
	ParamTypes []uint32
	// Prepared and Cursor return what PREPARE and DECLARE of that name were analysed to, nil when unknown.
	Prepared func(name string) *Statement
	Cursor   func(name string) *Statement
}

// analyser holds what is common to all statements of one text.
type analyser struct {
	cat      *Catalogue
	env      Env
	path     []uint32              // namespaces in which unqualified names are looked up, in order
	prepared map[string]*Statement // by PREPARE and DECLARE earlier in the same text
	cursors  map[string]*Statement
	// moved says why an earlier statement of the same text may have changed what names mean.
	moved    string
	declared []uint32 // types of parameters, see Env.ParamTypes
	depth    int      // of views being expanded
	constants
	// foreign says that the operator resolved last may be a user's, which need not mean what its name says.
	foreign bool
	survey  *survey // made for Restrict, else nil
	*recorder
}

// Analyse says what the text touches, statement by statement. The error is always an *Error. It is deterministic: the
// same text, catalogue version and environment give the same answer.
func Analyse(text string, cat *Catalogue, env Env) (analysis *Analysis, err error) {
	defer func() {
		// The last resort: a defect of ours must refuse one statement, not end every session.
		if r := recover(); r != nil {
			analysis, err = nil, &Error{Reason: "the statement could not be analysed", Position: -1, internal: fmt.Sprint(r)}
		}
	}()
	tree, l, perr := parse(text, cat.Major())
	if perr != nil {
		return nil, perr
	}
	an := &analyser{cat: cat, env: env, prepared: map[string]*Statement{}, cursors: map[string]*Statement{}}
	an.setPath(env.SearchPath)
	an.declared = env.ParamTypes
	an.constants = constants{text: text, list: l.literals, fate: make([]fate, len(l.literals))}
	analysis = &Analysis{Catalogue: cat}
	for _, raw := range tree.Stmts {
		s, err := an.statement(text, raw)
		if err != nil {
			return nil, err
		}
		analysis.Statements = append(analysis.Statements, *s)
	}
	if len(tree.Stmts) == 0 {
		analysis.Statements = []Statement{{Verb: Empty, Text: strings.TrimSpace(text)}}
	}
	analysis.literals = an.constants
	if l.continued {
		analysis.literals = constants{text: text}
	}
	return analysis, nil
}

func (an *analyser) setPath(names []string) {
	pgCatalog := an.cat.schemas["pg_catalog"]
	explicit := false
	for _, n := range names {
		if oid, ok := an.cat.schemas[n]; ok {
			an.path = append(an.path, oid)
			explicit = explicit || oid == pgCatalog
		}
	}
	if !explicit {
		an.path = append([]uint32{pgCatalog}, an.path...)
	}
}

// failure carries an *Error up through the walk; only statement and expand catch it.
type failure struct{ err *Error }

// refuse ends the analysis of the text: what it says cannot be established.
func (an *analyser) refuse(format string, args ...any) {
	panic(failure{&Error{Reason: fmt.Sprintf(format, args...), Position: -1}})
}

func (an *analyser) refuseNode(where string, n any) {
	name := strings.TrimPrefix(fmt.Sprintf("%T", n), "*pg_query.Node_")
	an.refuse("%s is not understood %s", name, where)
}

func catch(err **Error) {
	if r := recover(); r != nil {
		f, ok := r.(failure)
		if !ok {
			panic(r)
		}
		*err = f.err
	}
}

// blanks are white space to PostgreSQL. Others are letters, with which a name may end.
const blanks = " \t\r\n\f\v"

func (an *analyser) statement(text string, raw *pg_query.RawStmt) (s *Statement, err *Error) {
	defer catch(&err)
	start, end := int(raw.StmtLocation), len(text)
	if raw.StmtLen > 0 {
		end = start + int(raw.StmtLen)
	}
	own := text[start:end]
	start += len(own) - len(strings.TrimLeft(own, blanks))
	s = &Statement{Text: strings.Trim(own, blanks), tail: appendPoint{start: start}}
	an.utility(s, raw.Stmt)
	if reason := moves(s); reason != "" {
		an.moved = reason
	}
	return s, nil
}

// fresh runs fn with an empty recorder and fills s from it.
func (an *analyser) fresh(s *Statement, fn func()) {
	saved := an.recorder
	an.recorder = newRecorder(an.cat)
	fn()
	an.recorder.fill(s)
	an.recorder = saved
}

// resolving must be called before names are looked up.
func (an *analyser) resolving() {
	if an.moved != "" {
		an.refuse("%s earlier in the same text may change what this statement's names mean: send it on its own", an.moved)
	}
}

// moves says whether the statement may change what names in later statements mean.
func moves(s *Statement) string {
	switch {
	case s.DDL:
		return "a change of the catalogue"
	case s.Verb == Set && s.Setting != nil && changesNames(s.Setting.Name):
		return "SET " + s.Setting.Name
	case s.Verb == Discard:
		return "DISCARD"
	case s.Verb == Other:
		return "a statement of unknown effect"
	case s.Verb == Transaction && (s.Block == BlockCommit || s.Block == BlockRollback || s.Name == "rollback to"):
		return "the end of a transaction, which undoes settings," // SET LOCAL, or SET in a block that is rolled back
	case len(s.Functions) > 0:
		return "a function of unknown effect"
	default:
		return ""
	}
}

func changesNames(setting string) bool {
	switch setting {
	case "search_path", "role", "session_authorization", "all", "standard_conforming_strings", "backslash_quote", "client_encoding",
		"transform_null_equals", "array_nulls", "temp_tablespaces", "default_tablespace":
		return true
	default:
		return strings.HasPrefix(setting, "local_preload") || strings.HasPrefix(setting, "session_preload")
	}
}
