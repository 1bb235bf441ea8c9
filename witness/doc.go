// Package witness is the server that another department runs to keep a log
// honest: it co-signs a log's checkpoint only after checking that it extends
// the last one it co-signed, and never forgets which one that was. It speaks
// the C2SP tlog-witness protocol (v1.0.0) with Ed25519 cosignatures, and
// ML-DSA-44 ones beside them if it has such a key, learns nothing but origins,
// sizes and hashes, and shares formats with the log (auditlog/tiles) but not
// one line of the engine that it is there to distrust.
//
// What it promises: a cosignature leaves only after the checkpoint it stands
// under is durable in the state directory; between reading the last checkpoint
// of an origin and replacing it nobody else does; kill -9 at any moment loses
// no checkpoint that was answered for; and a state directory that is damaged,
// or in use by another witness, is not started from.
//
//	log                          witness                     state directory
//	 │ POST /add-checkpoint         │                              │
//	 ├─────────────────────────────►│ parse, origin, log signature │
//	 │                              │ lock origin                  │
//	 │                              │ old size, roots, proof       │
//	 │                              │ co-sign                      │
//	 │                              ├─ write temp, fsync ─────────►│
//	 │                              ├─ rename, fsync directory ───►│
//	 │                              │ unlock origin                │
//	 │◄──────── cosignature ────────┤                              │
package witness
