package pipeline

import (
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"weak"

	"mvdan.cc/sh/v3/interp"
)

// A shellState is what a shell knows of its jobs and traps, which the interpreter does
// not keep, or not as bash does. It may be used concurrently: signals come from outside.
type shellState struct {
	x      *execution
	parent *shellState // nil for the shell of the script
	sees   bool        // "jobs" shows those of parent, as in $( ) and in a stage

	mu       sync.Mutex
	jobs     []*job      // in the order of their numbers
	ended    map[int]int // statuses of jobs that are in no list any more, by process id
	started  uint64      // counts jobs
	monitor  bool        // "set -m"
	errtrace bool        // "set -E"

	last atomic.Int64 // status of the latest command

	traps   map[string]string // commands by condition; "" ignores it
	shown   map[string]string // what "trap" shows though it is not in force: those of parent
	pending []syscall.Signal  // that have come, and whose trap has to be run
	woken   chan struct{}     // closed when one comes; nil: nobody waits

	// What follows belongs to the goroutine that runs the shell.
	running []runningTrap
	armed   bool  // a function has set the ERR trap: it acts in functions
	called  bool  // a command was called since the latest failure that the ERR trap was for
	depth   int   // of functions that it was in
	simple  bool  // it runs one simple command only, whose failure its parent sees
	abrupt  bool  // it runs no trap for its end: see endsAbruptly
	ending  bool  // it ends because a command has failed, or by "exit"
	exiting error // the end that an ERR trap has given the shell; nil: none
	exits   bool  // exiting is one
	execing bool  // "exec" is about to replace the shell
}

// A runningTrap is one that runs in a shell.
type runningTrap struct {
	name   string // the condition; "" is a signal
	status int    // before it
}

// newState returns the state of a shell that is made inside of that of parent.
func (x *execution) newState(parent *shellState, sees bool) *shellState {
	st := &shellState{x: x, parent: parent, sees: sees}
	if parent == nil {
		return st
	}
	parent.mu.Lock()
	defer parent.mu.Unlock()
	st.monitor, st.errtrace = parent.monitor, parent.errtrace
	st.shown = parent.shown
	if parent.shown == nil {
		st.shown = parent.traps
	}
	for name, command := range parent.traps {
		if command == "" || name == trapERR && parent.errtrace {
			st.set(name, command)
		}
	}
	return st
}

// setOptions is told of the options that change what jobs and traps do.
func (st *shellState) setOptions(monitor, errtrace bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.monitor, st.errtrace = monitor, errtrace
}

// set gives a condition its command. The caller holds mu, if others have st.
func (st *shellState) set(name, command string) {
	traps := make(map[string]string, len(st.traps)+1) // others may show it
	for n, c := range st.traps {
		traps[n] = c
	}
	traps[name] = command
	st.traps = traps
}

// reset takes the command of a condition away.
func (st *shellState) reset(name string) {
	traps := make(map[string]string, len(st.traps))
	for n, c := range st.traps {
		if n != name {
			traps[n] = c
		}
	}
	st.traps = traps
}

// trapped returns the command of a condition, and whether there is one.
func (st *shellState) trapped(name string) (string, bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	command, is := st.traps[name]
	return command, is
}

// stateOf returns the state of the shell that runs in r: that of sh, or of one that the
// interpreter has made in it.
func (x *execution) stateOf(sh *shell, hc interp.HandlerContext) *shellState {
	r := runnerOf(hc)
	if r == sh.runner {
		return sh.state
	}
	_, file := hc.Stdout.(*os.File)
	return x.states.of(r, func() *shellState { return x.newState(sh.state, !file) })
}

// states are those of shells that the interpreter has made.
type states struct {
	mu  sync.Mutex
	all map[weak.Pointer[interp.Runner]]*shellState
}

func (s *states) of(r *interp.Runner, fresh func() *shellState) *shellState {
	key := weak.Make(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.all[key]; st != nil {
		return st
	}
	if s.all == nil {
		s.all = make(map[weak.Pointer[interp.Runner]]*shellState)
	}
	st := fresh()
	s.all[key] = st
	runtime.AddCleanup(r, s.forget, key)
	return st
}

func (s *states) forget(key weak.Pointer[interp.Runner]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, key)
}

// add puts a job into the list.
func (st *shellState) add(j *job) {
	st.mu.Lock()
	defer st.mu.Unlock()
	j.number = 1
	if n := len(st.jobs); n > 0 {
		j.number = st.jobs[n-1].number + 1
	}
	st.started++
	j.order = st.started
	st.jobs = append(st.jobs, j)
}

// forget removes a job from the list. Its status can still be asked for by its process
// id, unless disowned.
func (st *shellState) forget(j *job, disowned bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.drop(j, disowned)
}

func (st *shellState) drop(j *job, disowned bool) {
	i := slices.Index(st.jobs, j)
	if i < 0 {
		return
	}
	st.jobs = slices.Delete(st.jobs, i, i+1)
	if disowned || j.over() {
		if st.ended == nil {
			st.ended = make(map[int]int)
		}
		if len(st.ended) >= maxEnded {
			clear(st.ended)
		}
		st.ended[j.id()] = 0 // as bash has it for one that is no job of its
		if !disowned {
			st.ended[j.id()] = j.status
		}
	}
}

// maxEnded bounds the statuses of ended jobs that a shell keeps: CHILD_MAX is no
// smaller anywhere that this runs, and bash keeps as many.
const maxEnded = 32 << 10

// sweep takes the jobs that have ended off the list, as bash does when a command in the
// foreground has ended.
func (st *shellState) sweep() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.monitor {
		return
	}
	for _, j := range slices.Clone(st.jobs) {
		if j.over() {
			st.drop(j, false)
		}
	}
}

// visible returns the jobs that "jobs" and "kill" know, in the order of their numbers,
// and the current and the previous one, or nil.
func (st *shellState) visible() (all []*job, current, previous *job) {
	st.mu.Lock()
	all = slices.Clone(st.jobs)
	st.mu.Unlock()
	if len(all) == 0 && st.sees && st.parent != nil {
		return st.parent.visible()
	}
	rank := func(j *job) (r uint64) {
		switch {
		case j.isStopped():
			r = 2 << 32
		case !j.over():
			r = 1 << 32
		}
		return r + j.order
	}
	for _, j := range all {
		switch {
		case current == nil || rank(j) > rank(current):
			current, previous = j, current
		case previous == nil || rank(j) > rank(previous):
			previous = j
		}
	}
	return all, current, previous
}

// byID returns the job of a process id in this shell's list, or nil.
func (st *shellState) byID(pid int) *job {
	st.mu.Lock()
	defer st.mu.Unlock()
	// The latest first: an id may have come round.
	for _, j := range slices.Backward(st.jobs) {
		if j.id() == pid {
			return j
		}
	}
	return nil
}

// status returns that of a job that is in no list any more.
func (st *shellState) status(pid int) (int, bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	status, is := st.ended[pid]
	return status, is
}
