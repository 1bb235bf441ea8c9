// Package proxy stands between PostgreSQL clients and a department's databases. It knows the person behind each
// connection, lets policy decide every statement, puts the statement on record, and releases bytes only under a receipt
// of the log.
//
// A session has two goroutines and two outboxes:
//
//	client ──Reader──▶ fromClient ──decide──▶ trail.append ──▶ outbox(upstream) ──▶ server
//	                                              │ Receipt            waits for it before a write that may commit
//	                                              ▼
//	client ◀──outbox(client)◀── mask ◀── fromServer ◀──Reader── server
//	          waits for the newest Receipt before every write
//
// What must hold:
//
//   - Every byte that leaves an outbox was put there together with an auditlog.Receipt; there is no other way out.
//   - A statement that may write waits upstream for its receipt unless it is certain to run inside a transaction block;
//     then COMMIT waits for it.
//   - A refused statement is replaced by one that the server itself must fail, and the server's error by ours: afterwards
//     client and server are in exactly the state PostgreSQL has after an error (transaction, pipeline, portals).
//   - Rows about persons leave only under a record that names them.
//   - Whatever is not understood ends the session or is refused; under a transparent rule statements pass all the same, as
//     writing ones, and their records say so.
package proxy
