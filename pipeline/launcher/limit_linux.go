package launcher

import "syscall"

// setLimit sets a limit of this process. That of package syscall knows that the runtime
// has raised the one of open files, and that execve(2) must not restore it then.
func setLimit(l Limit) error {
	return syscall.Setrlimit(l.Resource, &syscall.Rlimit{Cur: l.Soft, Max: l.Hard})
}
