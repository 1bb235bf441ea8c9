// Package sql says what a statement touches: which relations, columns and functions, and how each is used. It parses
// with PostgreSQL's own grammar and resolves names against a snapshot of the database's catalogue, as the server would
// with the session's search_path. What it cannot resolve it reports as an *Error, which the policy refuses: an Analysis
// is complete or does not exist.
package sql
