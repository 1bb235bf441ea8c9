// Package console is the investigator's web page: the latest records of one log with their state, and each record with the
// proof that it is what was written down. It runs on the investigator's own machine, holds the key that opens the log only
// in memory, and answers nobody who is not logged in.
//
// What it promises: every record it shows was read back from the log and proved by package investigation; neither statement
// text nor a person's identifier ever stands in a URL or in the server's log; pages are bounded; and nothing on them is
// executed that is not one of the three files embedded here (the content security policy has no exception).
package console
