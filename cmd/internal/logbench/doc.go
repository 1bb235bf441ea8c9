// Command logbench measures what a durable, sealed record costs: appends of 300 bytes through the audit log, each waited for,
// beside the bare disk (write and fdatasync of the same bytes), Tessera's POSIX driver and immudb's embedded store, which get
// the 300 bytes in clear. All take turns in one run, each in a process of its own, so that a noisy machine is noisy for all of
// them alike. It prints medians and ratios as a Markdown table. Absolute figures move with the machine; read the ratios. CPU per
// entry moves too when others use the machine, so it is told how long a SHA-256 of an entry took meanwhile.
//
//	go run ./cmd/internal/logbench [-rounds 5] [-length 1s] [-appenders 1,8,32,256] [-dir DIR]
//	go run ./cmd/internal/logbench -growth 1000000 [-dir DIR]
//
//	go run ./cmd/internal/logbench -report docs/bench/log.md
//
// With -report, as `make bench` calls it, it does both and writes a page about it: some three minutes of turns, and two or three
// for ten million records, which take 6 GB of disk meanwhile. With -growth alone it fills one log and tells whether anything grows with it: cost of an append, memory, time to open, a
// proof from cold tiles, fsck. -profile writes a CPU profile of the audit log under 32 appenders.
//
// The peers are a Go module of their own in the directory peers, so that this one does not depend on them.
package main
