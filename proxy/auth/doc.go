// Package auth knows who may log in: it reads the people file, holds the server's half of a SCRAM-SHA-256 conversation
// (RFC 5802, RFC 7677, as PostgreSQL speaks it) and slows down guessing. The proxy and the console's login use it; what a
// person may do once logged in is policy's business.
//
// It promises:
//
//   - No password is ever stored or needed: the file holds verifiers in PostgreSQL's own form, which prove a password
//     without telling it.
//   - A user who does not exist, one whose time is over and one with a wrong password are the same to the client: the same
//     messages, the same work, the same error. Only the operator's text tells them apart.
//   - A People is immutable: to reload is to load another one and use that for logins from then on.
package auth
