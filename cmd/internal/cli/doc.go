// Package cli is the command line of shiguan: one file for each command, which reads flags and configuration, joins the
// rooms below and prints. Decisions, formats and protocols are made below; a command that knows more than how to ask
// and how to show is in the wrong place.
//
// What is printed for people goes to standard output, what went wrong to standard error. With --json a command prints
// one object a line and nothing else. Exit codes are the same everywhere: see exit.go.
package cli
