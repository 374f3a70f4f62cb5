package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// firstNumber is below the numbers of jobs that are no process: greater than any
// process id (PID_MAX_LIMIT of Linux: proc_sys_kernel(5), pid_max).
const firstNumber = 1 << 22

// A plannedJob is a command in the background.
type plannedJob struct {
	plannedShell
	text    string     // as "jobs" shows it
	pos     syntax.Pos // of the name of a simple command; not valid for all others
	simple  bool       // it is a simple command
	abrupt  bool       // it runs no trap for its end
	input   bool       // its standard input is redirected
	expands bool       // commands run in its words
}

// A job is a command in the background that was started. It runs in a shell of its own,
// in a goroutine that the custody of that shell waits for.
type job struct {
	plan   *plannedJob
	number int    // in the list of its shell, from 1
	order  uint64 // of its start in its shell
	outer  *job   // that it was started in, or nil
	cancel context.CancelCauseFunc

	known     chan struct{} // closed when id is
	knowing   sync.Once
	pid       int  // may be read when known is closed
	isProcess bool // and pid is that of process
	done      chan struct{}
	status    int   // may be read when done is closed
	err       error // that gave the status

	mu        sync.Mutex
	state     *shellState           // that signals are for
	processes map[*process]struct{} // that run in it
	process   *process              // of pid
	stopped   bool
}

// A jobSignal is the cause with which a job, or a script, ends that was sent a signal
// by "kill".
type jobSignal struct{ signal syscall.Signal }

func (s *jobSignal) Error() string { return s.signal.String() }

// Signal is what goes on to all that runs under the context.
func (s *jobSignal) Signal() syscall.Signal { return s.signal }

// ExitStatus is that of a shell which the signal has ended.
func (s *jobSignal) ExitStatus() int { return statusSignal + int(s.signal) }

// A custody knows the jobs that run in a shell, and in all that it has made.
type custody struct {
	outer *custody
	jobs  sync.WaitGroup
	count atomic.Int64
}

func (c *custody) enter() {
	for ; c != nil; c = c.outer {
		c.count.Add(1)
		c.jobs.Add(1)
	}
}

func (c *custody) leave() {
	for ; c != nil; c = c.outer {
		c.count.Add(-1)
		c.jobs.Done()
	}
}

// wait waits for the jobs. The shell itself, which could start others, has ended.
func (c *custody) wait() { c.jobs.Wait() }

func (c *custody) idle() bool { return c.count.Load() == 0 }

// subshell returns a shell of ours that is made in sh by what runs in hc.
func (x *execution) subshell(sh *shell, hc interp.HandlerContext, sees bool) *shell {
	own := &shell{
		runner: runnerOf(hc).Subshell(), stage: sh.stage, job: sh.job, custody: sh.custody,
		state: x.newState(x.stateOf(sh, hc), sees),
	}
	x.descend(own.runner)
	return own
}

// startJob starts a command in the background and sets "$!". It returns when the
// program that the job is has been started, so that its process id is known; where it is
// none, or waits for something before, at once.
func (x *execution) startJob(ctx context.Context, sh *shell, hc interp.HandlerContext, plan *plannedJob) error {
	st := x.stateOf(sh, hc)
	j := &job{
		plan: plan, outer: sh.job,
		known: make(chan struct{}), done: make(chan struct{}),
		processes: make(map[*process]struct{}),
	}
	own := x.subshell(sh, hc, false)
	own.job, j.state = j, own.state
	own.state.simple, own.state.abrupt = plan.simple, plan.abrupt
	stdin, stdout, stderr, closeAll := x.jobStreams(sh, hc, plan.input || st.monitoring())
	stderr = own.holds(&x.ownership, stderr, plan.pos.IsValid())
	if err := interp.StdIO(stdin, stdout, stderr)(own.runner); err != nil {
		return err // not for files
	}
	jobCtx, cancel := context.WithCancelCause(ctx)
	j.cancel = cancel
	file := plan.in(situationOf(runnerOf(hc)))
	st.add(j)
	own.custody.enter()
	go func() {
		defer own.custody.leave()
		defer x.jobs.remove(j)
		err := x.runShell(jobCtx, own, file)
		j.finish(x.jobStatus(own, err, context.Cause(jobCtx)))
		select {
		case <-x.remnant.over: // its program may be left running
		default:
			cancel(nil)
		}
		closeAll()
		own.closeDescriptors()
		st.childEnded()
	}()
	j.await(ctx)
	x.jobs.add(j)
	if j.over() {
		x.jobs.remove(j)
	}
	return x.setHidden(ctx, hc, hiddenJob, fmt.Sprint(j.id()))
}

// jobStreams returns the streams of a job. Where its input is that of the script it is
// empty, unless input is true: POSIX, 2.9.3, and bash, which leaves it be in what is
// redirected. Files that its shell may close while the job
// runs are open a second time, until closeAll is called.
func (x *execution) jobStreams(sh *shell, hc interp.HandlerContext, input bool) (stdin io.Reader, stdout, stderr io.Writer, closeAll func()) {
	var own []*os.File
	open := func(f *os.File) *os.File {
		if f == x.io.stdin || f == x.io.stdout || f == x.io.stderr || sh.stage.owns(f) {
			return f
		}
		again, err := duplicate(f)
		if err != nil {
			return f
		}
		own = append(own, again)
		return again
	}
	stdout, stderr = hc.Stdout, stderrOf(hc)
	shared := same(stdout, stderr)
	if f, ok := stdout.(*os.File); ok && f != nil {
		stdout = open(f)
	}
	if shared {
		stderr = stdout
	} else if f, ok := stderr.(*os.File); ok && f != nil {
		stderr = open(f)
	}
	if t := descriptorsOf(hc); t != nil {
		stderr = t.with(stderr)
	}
	switch f, ok := hc.Stdin.(*os.File); {
	case !input && ok && f == x.io.stdin:
		if null, err := os.Open(os.DevNull); err == nil {
			stdin, own = null, append(own, null)
		}
	case ok && f != nil:
		stdin = open(f)
	}
	return stdin, stdout, stderr, func() {
		for _, f := range own {
			f.Close()
		}
	}
}

// owns reports whether f is one of the ends of a stage's pipes, or of a stage that it is
// inside of. s may be nil.
func (s *stageRun) owns(f *os.File) bool {
	for ; s != nil; s = s.parent {
		if f == s.in || f == s.out {
			return true
		}
	}
	return false
}

// jobStatus judges the end of a job.
func (x *execution) jobStatus(sh *shell, err, cause error) (int, error) {
	var bug *bugError
	var es interp.ExitStatus
	switch {
	case errors.As(err, &bug):
		x.diagnose(sh.bug(bug))
		return statusBug, nil
	case err == nil:
		return 0, nil
	case cause != nil && !errors.As(err, &es):
		return causeStatus(cause), nil
	case errors.As(err, &es):
		return int(es), err
	}
	fmt.Fprintf(x.stderr(), "rpipe: %s\n", printable(err.Error()))
	return 1, nil
}

// await waits until it is known what the job's process id is.
func (j *job) await(ctx context.Context) {
	if !j.plan.pos.IsValid() {
		j.know(nil)
		return
	}
	var late <-chan time.Time
	if j.plan.expands {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-j.known:
		return
	case <-j.done:
	case <-late:
	case <-ctx.Done():
	}
	j.know(nil)
}

// numbers counts the jobs that are no process.
var numbers atomic.Int64

// know says that the job is a process, or that it is none if p is nil. The first call
// counts.
func (j *job) know(p *process) {
	j.knowing.Do(func() {
		if p != nil {
			j.pid, j.isProcess = p.cmd.Process.Pid, true
			j.mu.Lock()
			j.process = p
			j.mu.Unlock()
		} else {
			j.pid = firstNumber + int(numbers.Add(1))
		}
		close(j.known)
	})
}

// id returns the process id of the job, or its number if it is no process; 0 before it
// is known.
func (j *job) id() int {
	select {
	case <-j.known:
		return j.pid
	default:
		return 0
	}
}

// calls is told of a command that is about to be called in the shell of the job.
func (j *job) calls(pos syntax.Pos, hc interp.HandlerContext, name string) {
	if j == nil || pos != j.plan.pos {
		return
	}
	switch {
	case name == "exec" || name == "command":
	case isFunction(hc, name) || interp.IsBuiltin(name) || isAddress(name):
		j.know(nil)
	}
}

// begin says that a process runs in the job; end must follow. j may be nil.
func (j *job) begin(p *process, pos syntax.Pos) {
	if j != nil && pos == j.plan.pos {
		j.know(p)
	}
	for ; j != nil; j = j.outer {
		j.mu.Lock()
		j.processes[p] = struct{}{}
		j.mu.Unlock()
	}
}

// end says that a process has ended.
func (j *job) end(p *process) {
	for ; j != nil; j = j.outer {
		j.mu.Lock()
		delete(j.processes, p)
		j.mu.Unlock()
	}
}

// finish gives the job its status.
func (j *job) finish(status int, err error) {
	j.status, j.err = status, err
	close(j.done)
	j.know(nil)
}

// over reports whether the job has ended.
func (j *job) over() bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}

func (j *job) isStopped() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.stopped && !j.over()
}

// whole says that the shell of a state is all that the job does: signals are for it.
func (j *job) whole(st *shellState) {
	if j != nil {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.state = st
	}
}

// signal does what a signal to the job's process does in bash: to the program, or to
// the shell that the job is. It returns false if the job has ended.
func (j *job) signal(sig syscall.Signal) bool {
	if j.over() {
		return false
	}
	j.mu.Lock()
	own, st := j.process, j.state
	j.mu.Unlock()
	if own != nil {
		alive := own.signal(sig)
		if alive && st.monitoring() {
			j.noteStopped(sig)
		}
		return alive
	}
	if sig == 0 {
		return true
	}
	async := sig == syscall.SIGINT || isQuit(sig)
	switch {
	case st.deliver(sig):
	case async && !st.monitoring(): // POSIX, 2.11: ignored in the background
	case isStop(sig), isContinue(sig):
		if st.monitoring() {
			j.noteStopped(sig)
		}
		j.each(func(p *process) { p.signal(sig) })
	case ignoredByDefault(sig):
	default:
		j.cancel(&jobSignal{sig})
	}
	return true
}

func (j *job) noteStopped(sig syscall.Signal) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case isStop(sig):
		j.stopped = true
	case isContinue(sig):
		j.stopped = false
	}
}

// each calls f for each process that runs in the job.
func (j *job) each(f func(*process)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for p := range j.processes {
		f(p)
	}
}

// shellPID returns what BASHPID is in the shell of a handler: the number of the job
// that runs there, else the id of this process.
func (x *execution) shellPID(sh *shell) int {
	if sh.job != nil && !sh.job.plan.pos.IsValid() {
		<-sh.job.known
		return sh.job.pid
	}
	return os.Getpid()
}

// monitoring reports whether "set -m" is on.
func (st *shellState) monitoring() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.monitor
}

// setHidden sets a variable of ours in the shell of a mark.
func (x *execution) setHidden(ctx context.Context, hc interp.HandlerContext, name, value string) error {
	_ = hc.Builtin(internal(context.WithoutCancel(ctx)), []string{"eval", "declare -g " + x.plan.hidden(name) + "=" + value + "; :"})
	return nil
}

// hiddenJob is the variable that holds the process id of the latest job: "$!".
const hiddenJob = "job"

// hidden returns the name of a variable of ours, which no script can guess.
func (p *plan) hidden(name string) string { return p.texts.secret + name }
