// Package referee has the software of others judge ours, over HTTP and as they ship it: Tessera's fsck reads a large log of
// ours, the independent omniwitness co-signs one, and our witness co-signs and mirrors the log of Tessera's conformance
// server. It holds tests only.
//
// They are part of make test-long, which sets SHIGUAN_TEST_LONG: they take minutes, and the first time builds two programs
// with many dependencies. Without it the package says so and does nothing. What is pinned: Tessera's programs in programs_test.go,
// omniwitness and all that it is built from in omniwitness/go.mod, a module of its own.
package referee
