//go:build !linux

package pgtest

import "syscall"

// dieWithParent can do nothing here: only Linux tells a child of its parent's death. Stop still stops the server.
func dieWithParent(*syscall.SysProcAttr) {}
