package pipeline

import (
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// resources are what "ulimit" knows, in the order in which bash shows them.
var resources = []resource{
	{'R', unix.RLIMIT_RTTIME, "real-time non-blocking time", "microseconds", 1},
	{'c', unix.RLIMIT_CORE, "core file size", "blocks", 1024},
	{'d', unix.RLIMIT_DATA, "data seg size", "kbytes", 1024},
	{'e', unix.RLIMIT_NICE, "scheduling priority", "", 1},
	{'f', unix.RLIMIT_FSIZE, "file size", "blocks", 1024},
	{'i', unix.RLIMIT_SIGPENDING, "pending signals", "", 1},
	{'l', unix.RLIMIT_MEMLOCK, "max locked memory", "kbytes", 1024},
	{'m', unix.RLIMIT_RSS, "max memory size", "kbytes", 1024},
	{'n', unix.RLIMIT_NOFILE, "open files", "", 1},
	{'p', pipeSize, "pipe size", "512 bytes", 512},
	{'q', unix.RLIMIT_MSGQUEUE, "POSIX message queues", "bytes", 1},
	{'r', unix.RLIMIT_RTPRIO, "real-time priority", "", 1},
	{'s', unix.RLIMIT_STACK, "stack size", "kbytes", 1024},
	{'t', unix.RLIMIT_CPU, "cpu time", "seconds", 1},
	{'u', unix.RLIMIT_NPROC, "max user processes", "", 1},
	{'v', unix.RLIMIT_AS, "virtual memory", "kbytes", 1024},
	{'x', unix.RLIMIT_LOCKS, "file locks", "", 1},
}

// processLimit returns the limit that programs started by this process have. Of open
// files the runtime has raised its own, and gives programs what it was before
// (https://go.dev/issue/46279): only they know that.
func processLimit(number int) (limit, error) {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(number, &r); err != nil {
		return limit{}, err
	}
	one := limit{r.Cur, r.Max}
	if number == unix.RLIMIT_NOFILE {
		if soft := openFiles(); soft != 0 {
			one.soft = soft
		}
	}
	return one, nil
}

// openFiles returns how many files a program may open; 0 where that cannot be known.
var openFiles = sync.OnceValue(func() uint64 {
	out, err := exec.Command(shellPath, "-c", "ulimit -n").Output()
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseUint(strings.TrimSpace(string(out)), 10, 64)
	return n
})
