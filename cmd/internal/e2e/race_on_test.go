//go:build race

package e2e

// race says that tests and programs run under the race detector, which costs memory.
const race = true
