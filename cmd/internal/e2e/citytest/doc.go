// Package citytest starts demo cities for tests: the real binary, built once, run as `shiguan demo`, with the addresses and
// passwords of its demo.json. It is for test packages that need processes to talk to, to watch and to kill, and it promises
// that Stop leaves none of them behind.
package citytest
