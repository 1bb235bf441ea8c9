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
//
// # A restored backup of the state
//
// tlog-witness wants a witness never to co-sign what is inconsistent with what
// it co-signed before, so its state is best never restored: an older copy has
// forgotten what was signed since. If one is restored all the same (the disk
// is lost, the machine was rolled back), this is what holds. The witness
// answers the log with 409 and the older size; an honest log proves from
// there, and nothing else is to be done. A tree that does not extend the
// restored head is refused as ever, and from the next cosignature on also what
// forks behind it.
//
// Not protected is the time between: heads that were signed after the backup
// and before the loss are forgotten, and a log that cheats, and comes first,
// can have another history co-signed behind the restored head. Then two
// cosignatures of this witness contradict each other. They convict whoever
// made them, but they have to be laid side by side: the other witnesses of the
// quorum, monitors and evidence already handed out have the first. To be safe,
// ask the log and another witness (GET /<hex SHA-256(origin)>/checkpoint) for
// their newest head before starting, and where that cannot be had, retire the
// key and begin with a new one.
//
// A witness that mirrors the log does better by itself: the mirrored head
// bears its own cosignature, so a state that is behind the mirror is known to
// be old, and the witness goes on from the mirrored head. That is of no use
// when both come from one backup.
//
// # Mirrors
//
// With a URL in LogConfig.Mirror the witness also keeps a full copy of the
// log's public part: every entry (78 bytes: kind, time, commitment and hash of
// the sealed payload), every tile and the co-signed checkpoint. It pulls the
// entries by tlog-tiles, which is simpler than the push of the tlog-mirror
// draft and asks nothing of the log that it does not offer to everybody. It
// hashes them up to the root of the head that it co-signed itself, and only
// then calls them mirrored. Its cosignature does not wait for that: it says
// that the log is consistent, not that it was copied. The copy is served as
// tlog-tiles at /mirror/<hex SHA-256(origin)>/, not at /<hex SHA-256(origin)>/,
// where tlog-witness has the newest co-signed checkpoint stand, which may be
// ahead of the copy.
//
// One goroutine a log makes one request at a time and at most 200 a second,
// holds one bundle (20 kB of our entries) and one tile a level in memory, and
// notes every 65,536 entries how far a long pull has come. A crash at any
// moment leaves the last mirrored head whole.
//
// # Restoring the public part of a lost log
//
// The directory <mirrors>/<hex SHA-256(origin)> (by default below the state
// directory) is a tlog-tiles log of plain files. Copy its file checkpoint
// first and its directory tile after it, leave pending away, and check the
// copy behind any web server, or the witness's own:
//
//	shiguan fsck --url https://audit-office.example.gov.cn/mirror/<hex SHA-256(origin)>/ --key 'VKEY OF THE LOG'
//
// Then serve it where the log was. Restored that way are: the list of all
// records up to the checkpoint, with kind, time and position of each; every
// proof, for evidence that is checked again and for payloads that somebody
// still has; the log's and this witness's signature, and the quorum's where
// the log had published the very head that was mirrored.
//
// Not restored, because no mirror ever has them, are the sealed payloads, the
// wrapped keys of the periods and the log's signing key. Of payloads and keys
// (segments/, keys/) any backup serves, however old: each record is good if
// its bytes hash to what its entry says, so what a backup lacks is known one
// by one, and nothing can be slipped in. A proxy cannot go on writing the lost
// log: it has fewer records than were signed and refuses to start. Give it a
// new origin and key, and keep serving the old log as it ended.
package witness
