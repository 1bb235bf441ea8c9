// Package noninterference tests that policy cannot be talked around: what a person may not see must not reach him by any
// road. It holds tests only, for nobody to import.
//
// Every statement is run in two worlds, databases of one city behind one proxy that differ only in values which the person
// may not see. Everything the client receives (rows and their order, tags, errors, notices, parameter status) must be equal,
// byte for byte, timing aside. That is stronger than to look for the values: it catches what can be inferred.
package noninterference
