// Package logins holds the tests of how people get in: TLS with clients and with servers, channel binding, certificates,
// versions of the protocol, limits. It runs proxies inside the test's own process before a real PostgreSQL, with psql, pgx
// and openssl as clients, so that each test has a proxy configured as it needs. There is no code in it besides tests.
package logins
