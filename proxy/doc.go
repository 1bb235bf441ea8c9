// Package proxy stands between PostgreSQL clients and a department's databases. It knows the person behind each
// connection, lets policy decide every statement, puts the statement on record, and releases bytes only under a receipt
// of the log.
//
// A login has a goroutine of its own, and so has the reading of a catalogue. A session that has logged in belongs to one of
// few event loops (see loop), each of which serves many sessions in one goroutine:
//
//	client ──Reader──▶ serveClient ──decide──▶ trail.append ──▶ outbox(upstream) ──▶ server
//	                                              │ Receipt            waits for it before a write that may commit
//	                                              ▼
//	client ◀──outbox(client)◀── mask ◀── serveServer ◀──Reader── server
//	          waits for the newest Receipt before every write
//
// Nothing in a loop waits. A message of the client that cannot be dealt with yet (because an earlier one must be answered,
// or a catalogue read) is put back, without having had any effect, and looked at again when that has happened; meanwhile
// nothing more is read from this client. Likewise a peer that does not read what is sent to it is not served any further:
// what waits for it is bounded.
//
// What must hold:
//
//   - Every byte that leaves an outbox was put there together with an auditlog.Receipt; there is no other way out.
//   - A statement that may write waits upstream for its receipt unless it is certain to run inside a transaction block;
//     then COMMIT waits for it.
//   - A refused statement is replaced by one that the server itself must fail, and the server's error by ours: afterwards
//     client and server are in exactly the state PostgreSQL has after an error (transaction, pipeline, portals).
//   - Rows about persons leave only under a record that names them.
//   - Whatever is not understood ends the session, and a fault of ours no other.
package proxy
