// Package auditlog is the engine of the log: an append-only store that is its
// own write-ahead log, the tiles and signed heads made from it, and what reads
// them back. One process writes a log; any number read it, from the directory
// or over HTTP. The formats on disk and on the wire are in FORMAT.md.
//
// A record passes through three states, always told apart:
//
//	Append ──> durable ──> integrated ──> witnessed
//	           fdatasync   in a tree       k of n witnesses
//	           returned    head we signed  co-signed the head
//
// What it promises to those who append: a Receipt whose Wait returned nil
// stands for a record that survives a crash of the machine, under the index
// that the receipt names. The first I/O error of any kind breaks the log for
// good: nothing is retried, every receipt not yet durable fails, Done closes,
// and the process is expected to stop. What it promises to those who read: a
// head that was ever signed is never contradicted by a later one, or the log
// refuses to open.
//
// Who waits for a record commits it, with all that others have appended by then:
// one pwrite and one fdatasync a batch, in the goroutine of one that waits. Three
// goroutines work behind that: one that commits what nobody waits for, the signer
// (leaves to tiles to head) and the one that waits for witnesses. What each crash
// between their steps leaves is said where the step is.
package auditlog
