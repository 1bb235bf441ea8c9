// Package quorum asks the witnesses of a policy to co-sign a log's head: the client side of C2SP tlog-witness and the log's
// auditlog.Cosigner. All witnesses are asked at the same time, and a head is handed back as soon as the policy's quorum has
// co-signed it and the others have had a short grace: a slow witness delays nothing, a dead one costs nothing but itself.
//
// What it promises: every cosignature that it hands back has been verified with the policy's key. A witness that proves,
// with a checkpoint signed by the log's own key and co-signed by itself, that the log once was further than it is now or
// went another way, ends everything: that is a *auditlog.RolledBackError, from then on from every call. A witness that
// merely claims so is logged and counted, because no single witness must be able to stop a department's databases.
//
// It trusts neither network nor witness: answers are bounded in size and time, and redirections are not followed.
package quorum
