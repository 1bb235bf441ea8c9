// Command bench measures what the audit costs: the same pgbench workloads directly, through pgbouncer in session mode and
// through Shiguan with everything on (policy, sealing, durable log, witnesses), interleaved round by round so that a noisy
// machine is noisy for all of them alike. It prints medians and ratios as a Markdown table. Absolute figures move with
// the machine; read the ratios.
//
//	go run ./cmd/internal/bench [-rounds 5] [-seconds 3]
//
// It needs pgbench and pgbouncer (Debian: postgresql, pgbouncer).
package main
