// Package keyfile makes the secrets of an installation and writes each into a file of its own: log keys, witness keys,
// investigators' identities, subject keys and passwords. The commands key and init and the demo share it.
//
// A secret file is readable by its owner only and is never overwritten: a log whose key was replaced is dead, and a
// record whose identity was replaced cannot be opened again.
package keyfile
