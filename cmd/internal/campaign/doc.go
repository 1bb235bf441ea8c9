// Package campaign tests the promises by breaking what they rest on: processes are killed, disks fill up and fail, files are
// changed behind everybody's back, and the order of system calls is watched. It holds tests only, for whoever changes the
// proxy or the log.
//
// Its verdicts come from outside: clients that note what reached them and compare it with the log afterwards (the ledger),
// strace, a FUSE file system with faults, and the tlog-tiles checker of another project. What needs its own city starts one; the rest share one.
//
// SHIGUAN_TEST_LONG=1 makes the campaigns longer, and -campaign.kills=N sets the number of kills.
package campaign
