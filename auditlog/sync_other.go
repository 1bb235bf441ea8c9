//go:build !linux

package auditlog

import "os"

// datasync makes a file's data and size durable.
func datasync(f *os.File) error { return f.Sync() }

func beginDatasync(*os.File) {}

func spreadDir(string) {}
