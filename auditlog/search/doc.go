// Package search is the investigator's index of a log: a SQLite file that finds the records of statements and refused
// logins by person, department, table, time, decision, text and subject. It is derived data. It may be wrong, stale or
// lost; nothing is concluded from it alone, every hit names an index of the log from which the record is read back and
// proved, and a rebuild is [Open] on a file that does not exist yet, then [Index.Update].
//
// What it promises is that it leaves nothing out: no sampling, no cut-off, and a subject's accesses from bulk exports and
// crashed sessions included. It keeps the Merkle root over the leaves it has read and compares it with the log's before it
// reads on, so that it never mixes two histories ([DivergedError]) or two logs ([OtherLogError]).
//
// The index holds statements in clear and is as sensitive as the investigators' key: its file is readable by its owner
// only. When the log records that a key period was erased, the index forgets what it held of that period too.
package search
