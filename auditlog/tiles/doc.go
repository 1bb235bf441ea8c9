// Package tiles speaks the public formats of transparency logs: the formats in which a log of ours can be read, proved and
// co-signed by software that is not ours. It knows no storage, no network and no clock.
//
// What it holds, with the specification each part follows (all at c2sp.org):
//
//   - tlog-tiles: paths of hash tiles and entry bundles, and a [Builder] that turns a stream of entries into them;
//   - RFC 6962 hashing, inclusion and consistency proofs: made from tiles ([ProveInclusion], [ProveConsistency]) and checked
//     without them ([CheckInclusion], [CheckConsistency]);
//   - signed-note: [ParseNote], verifier keys, log keys;
//   - tlog-checkpoint: [Checkpoint];
//   - tlog-cosignature: Ed25519 cosignature/v1, key type 0x04, and ML-DSA-44, key type 0x06 ([CosignatureSigner],
//     [CosignatureVerifier]); a log signs with ML-DSA-44 in the same way ([NewMLDSALogSigner]), beside its Ed25519 key;
//   - tlog-policy: which logs and witnesses are trusted and how many must have signed ([Policy]);
//   - tlog-proof: [Proof].
//
// The log, the witnesses and the offline verifier all import it, and they distrust each other; so it has no state, and every
// parser here is strict: what it accepts has exactly one spelling, and marshalling the result gives the same bytes back. A
// policy is the one exception, because people write it: comments and spacing are free, and [Policy.Text] keeps them.
//
// It depends on nothing but the standard library, the two interfaces of golang.org/x/mod/sumdb/note and filippo.io/mldsa, because
// the offline verifier depends on it.
package tiles
