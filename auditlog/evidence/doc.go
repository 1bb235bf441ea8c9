// Package evidence writes and checks .evidence files: one record of one log, with everything needed to see, offline and
// without us, that the record was in the log when the witnesses co-signed its head. FORMAT.md is the specification.
//
// An investigator's command makes one with [New] and [Evidence.Write]; a court, a citizen or another department checks it with
// [Verify], which wants nothing but the file and the quorum policy that the checker trusts. The package shares formats with the
// log, not engines: it opens no store and no connection, and reads no clock.
//
// What Verify accepts has one spelling. The container, every part of it and even the explanation in plain language are a
// function of what is proved, so a file with any byte changed is refused, and evidence written today verifies for as long as
// format version 1 is supported.
package evidence
