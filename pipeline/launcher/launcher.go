package launcher

import (
	"encoding/json"
	"os"
)

// Name is argument zero of a process that is about to become another program.
const Name = "pipe-launcher"

// statusRefused is the exit status where the program cannot be started: POSIX, exit
// status for commands.
const statusRefused = 126

// A Spec is what a program is given. Its zero value is nothing.
type Spec struct {
	Mask    *uint32 `json:",omitempty"` // umask
	Limits  []Limit `json:",omitempty"`
	Ignored []int   `json:",omitempty"` // signals
	Closed  []int   `json:",omitempty"` // descriptors up to 2: the runtime would open them
}

// A Limit is one of setrlimit(2).
type Limit struct {
	Resource   int
	Soft, Hard uint64
}

// IsZero reports whether nothing is wanted: then the program can be started as always.
func (s Spec) IsZero() bool {
	return s.Mask == nil && len(s.Limits) == 0 && len(s.Ignored) == 0
}

// Asked reports whether this process is to become another program: then main does
// nothing but call Main and exit with what it returns.
func Asked() bool { return len(os.Args) > 3 && os.Args[0] == Name }

// Command returns the file and the arguments that start path with args, whose first one is
// the name that it gets, as the Spec says. It fails where this system has no launcher.
func (s Spec) Command(path string, args []string) (file string, argv []string, err error) {
	if file, err = self(); err != nil {
		return "", nil, err
	}
	spec, err := json.Marshal(s)
	if err != nil {
		return "", nil, err
	}
	return file, append([]string{Name, string(spec), path}, args...), nil
}
