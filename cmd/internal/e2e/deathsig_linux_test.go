package e2e

import (
	"os/exec"
	"syscall"
)

// dieWithTests has the kernel stop the city when the tests end, however they end.
func dieWithTests(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} }
