// Package demo runs the demo city: a throwaway PostgreSQL with two thousand invented citizens, a proxy in front of it,
// three witnesses of other departments and the investigator's console, each a process of its own on 127.0.0.1, in one
// directory. What is going on is written to DIR/demo.json, which is all that a client, a test or the tour needs to know.
//
// The supervisor (Run) is the parent of every process it started and outlives none of them: they are stopped with it and
// die with it. A component that ends on its own stays dead, so that one can see what the others do about it, until
// Restart asks for it over DIR/control.sock.
package demo
