// Package certs holds certificates, keys and certification authorities for either side of the proxy's TLS: it reads them,
// notices when their files change, and says what a TLS connection is made of and how its channel is named. The proxy uses
// it for its clients and its servers, `shiguan check` to judge the same files beforehand.
//
// It promises:
//
//   - Files that do not belong together, or cannot be read, change nothing: what was in force stays in force, whole.
//   - A connection is made with the files of one moment, and keeps them.
//   - No mode falls back to plaintext, and none trusts a certificate more than its name says.
package certs
