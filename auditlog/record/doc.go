// Package record is what the audit log is about: the record of one fact (a
// statement, a session's beginning, a policy loaded) and the leaf that stands
// for it in the log's Merkle tree. It defines both formats byte for byte; the
// specification for people who write their own verifier is FORMAT.md.
//
// A record is JSON in one canonical form, so that it can be read decades from
// now without this code and so that no two byte strings mean the same record.
// A leaf has 78 bytes, says nothing that could be guessed at, and commits to
// exactly one record. The package imports only the standard library, and the
// offline verifier uses it: nothing here may learn about keys, files or
// networks. Sealing is the business of record/seal.
package record
