// Command suites runs other people's test suites against a PostgreSQL server twice, directly and through the proxy under a
// transparent rule, and compares: PostgreSQL's regression and isolation tests, libpq_pipeline with its golden traces, pgx's
// own tests, a JDBC driver in its four query modes, pg_dump and pg_restore, psql's \d family, psycopg and node-postgres. What
// a suite passes directly it must pass through the proxy, on the same machine on the same day.
//
// Afterwards everything that the server says it executed for proxied sessions (log_statement=all) is looked for in the
// audit log: once, under the right person, with the right parameters. `make test-long` runs it; it needs what
// `.ci/setup source suites` fetches. Nothing imports it.
package main
