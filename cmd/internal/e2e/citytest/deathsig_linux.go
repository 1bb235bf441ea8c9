package citytest

import "syscall"

// dieWithParent has the kernel stop the city when the test's process ends, however it ends.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGTERM }
