package demo

import "syscall"

// dieWithParent has the kernel stop a component when this process ends, however it ends.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGTERM }
