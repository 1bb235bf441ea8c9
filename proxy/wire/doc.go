// Package wire frames and decodes version 3 of PostgreSQL's frontend/backend protocol: what arrives as bytes leaves as
// messages, and every message the proxy acts upon is decoded strictly, so that the record of a statement and the server's
// understanding of it cannot differ. It knows formats only; which message may come when is proxy/session's business.
//
// Anything in this house may use it; it imports the standard library alone. It promises:
//
//   - Bytes are never re-encoded on the way through: a Message is exactly what was received, and decoding looks at it
//     without changing it. The package's own encoders reproduce byte for byte whatever its decoders accept.
//   - Decoders accept a body only when it is exactly as long as its content: no trailing bytes, no missing terminator, no
//     count that disagrees with another. What they reject with SQLSTATE 08P01, PostgreSQL rejects with it too. In one thing
//     they are ahead of it: a format code that is neither text nor binary is refused at once, with PostgreSQL's own
//     22023, where the server would notice at Execute.
//   - Nothing that a peer announces is allocated before its bytes have arrived, and never more than the reader's limit.
//   - Framing, decoding and encoding into a buffer with room allocate nothing. Everything decoded is a view of the message
//     and lives only as long as the message does: until the next call on the Reader it came from.
//
// Frontend is the client, backend the server, as in PostgreSQL's documentation, "Frontend/Backend Protocol", whose names
// and layouts ("Message Formats") these are.
package wire
