// Package seal keeps what the log says from everybody but the investigators.
// Each key period (a day, and every restart) has a random key that exists in
// the memory of the process that writes, and otherwise only wrapped by age to
// the investigators' recipients: the writer cannot read back what it wrote in
// an earlier life, and who destroys a period's wrapped key has erased it.
//
// From the period's key and a number that no other record of the period has
// come a key and an opening of each record's own. Handing them over discloses
// that record and nothing else. AES-256-GCM seals; what binds a leaf to one
// plaintext is its commitment, because AES-GCM alone does not commit to a key.
package seal
