package pgtest

import "syscall"

// dieWithParent has the kernel shut the server down fast (SIGINT) when this process ends, however it ends.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGINT }
