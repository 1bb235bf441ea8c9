// Package session is the protocol's bookkeeping for one client: which replies the server still owes, and which prepared
// statement or portal a name means. It holds no connection and makes no decision; the proxy tells it what was sent and
// what came back, and it answers in whose name a reply came. A reply that nobody is owed is an error, never a guess.
//
// All of a session belongs to one goroutine: nothing here takes a lock.
package session
