package pipeline

import (
	"io"
	"os"
	"syscall"
	"time"

	"rpipe/pipeline/keeper"
	"rpipe/remote"
)

// DefaultGrace is the time between the signal and KILL when Run is cancelled.
const DefaultGrace = remote.DefaultGrace

// DefaultName is $0 where Options.Name is empty.
const DefaultName = "rpipe"

// Options are what a script runs with. The zero value runs it with no input, no
// output, the environment and folder of this process, and without remote stages.
type Options struct {
	// Stdin is the input of the script; nil is an empty one. An *os.File is
	// handed to the stages as it is. Any other reader is copied into a pipe, by
	// a goroutine that reads ahead and that may be left with one Read under way
	// when Run returns; what it got is lost.
	Stdin io.Reader

	// Stdout and Stderr take the output; nil discards it. Files are handed to
	// the stages as they are. Any other writer is written to by one goroutine,
	// which Run waits for, as os/exec does: also for what processes that the
	// script has left behind write, unless the context is done. Where both are
	// the same value they are one stream.
	Stdout, Stderr io.Writer

	// Dir is the folder that the script starts in; "" is that of this process.
	Dir string

	// Env is the environment of the script, "NAME=value"; the last of a name
	// counts. nil is that of this process.
	Env []string

	// Name is $0; "" is DefaultName. Params are $1 and following.
	Name   string
	Params []string

	// Command tells that the script was an operand of the command line, as that of
	// "bash -c"; else it is a file, and Name is its path.
	Command bool
	// Input, if not nil, is where the script goes on behind the Program, mostly Stdin: it
	// is read command by command, each when those before it have run, and not a byte
	// further, so that they may read what follows (POSIX, sh, INPUT FILES). One that has
	// an error of syntax ends the script, with status 2.
	Input *os.File

	// Set holds options for the "set" builtin, such as "-e", "-o", "noglob", and Shopt
	// words for "shopt", such as "-s", "extglob", which act before the script. Pipefail
	// is on unless Set says "+o", "pipefail". One that is unknown is an *ExitError of
	// status 2, and nothing runs.
	Set, Shopt []string

	// Shell is the command that runs files which are scripts without a "#!" line: a
	// program and its arguments, to which the file and the script's own arguments are
	// added; nil is /bin/sh. bash runs them itself.
	Shell []string

	// Dialer opens remote stages; nil refuses them all. It stays the caller's
	// to close, and may serve several Runs at the same time.
	Dialer *remote.Dialer

	// Keeper keeps local stages, on Linux, from taking a sudden death of this process
	// (kill -9) for the end of what a remote stage sends them; nil: they may. It
	// stays the caller's to close, and may serve several Runs at the same time.
	Keeper *keeper.Keeper

	// Launcher tells that the main of this process calls launcher.Main where it is asked
	// to; else programs cannot be given the umask and the limits of their shell, and are
	// not run.
	Launcher bool

	// RequireStatus refuses stages that name services, of which nobody can tell how
	// they ended: those that the text names before anything runs, others as a host
	// would that refuses.
	RequireStatus bool

	// Replaceable tells that Run may return a *Replacement: that this process may become
	// the program that the script ends with.
	Replaceable bool

	// Terminal tells that the script runs in the foreground of a terminal. Its
	// local processes then stay in the process group of this process, so that
	// they may use the terminal and get its INT and QUIT by themselves; else
	// each is the leader of its own group.
	Terminal bool

	// Settle returns when the context has ended for every signal that came to this
	// process before the call and that ends it; nil is no such signal. It is called
	// when the input of a remote stage has come to its end: a terminal's INT goes to
	// local stages at the same time as to this process, and the end of one that it
	// has killed must not be taken for the end of what it had to say. Calls may be
	// concurrent; they must be short.
	Settle func()

	// Signals is how the script traps the signals of this process; nil: it traps only
	// those that it sends to itself, by "kill".
	Signals Signals

	// Grace is the time between the signal and KILL when Run is cancelled; 0 is
	// DefaultGrace.
	Grace time.Duration

	// StageDone is called for every stage of a pipeline of two or more, and for
	// every remote stage, when it has ended; nil is no call.
	// Diagnose is called for a failure that the user must be told now, when it
	// is known; nil writes it to Stderr with its hint. Calls of both are never
	// made at the same time, and are made while stages run: they must not block.
	StageDone func(StageReport)
	Diagnose  func(*StageError)
}

// Signals are those that this process gets. The methods may be called concurrently.
type Signals interface {
	// Catch makes deliver be called for each signal of a kind that comes, instead of
	// what it does else; deliver nil ends that. deliver does not block. A signal that
	// this process was told to ignore when it was started stays ignored.
	Catch(sig syscall.Signal, deliver func())

	// Settle returns when every signal that came before the call has had its effect.
	// It is called after each program that may have sent one; it must be short.
	Settle()
}

// StageReport is how one stage ended.
type StageReport struct {
	// Pipeline is the number of the pipeline in the program's Pipelines, from
	// 1, and Stage that of the stage in it; both are 0 for a command that is
	// not in the script's text (from eval, source or a trap).
	Pipeline, Stage int

	Text          string // the stage as written, shortened; may be "" where Pipeline is 0
	Host, Program string // empty for a local stage
	Line, Column  int    // of its name, from 1; near where the text of eval has it where Pipeline is 0

	// Status is what PIPESTATUS holds for the stage. A stage that was not
	// started because another one of its pipeline was refused has Ran false
	// and that one's status.
	Status int
	Ran    bool

	// Err is the failure of a remote stage or a service, or nil. A stage that was ended by a
	// loss before it, or by the context, has none.
	Err *StageError

	// Result is how a remote stage's program ended; nil where that is not known.
	Result *remote.Result

	// Service is how a service ended; nil for other stages, and for one that did not
	// run.
	Service *ServiceReport

	// Link is how the output of a remote stage reached the next one.
	Link Link

	// Elapsed is the time since the stage was begun, with dialling.
	Elapsed time.Duration
}

// A Link is how the output of a remote stage reaches a next one that is remote too.
type Link struct {
	// How is remote.NoLink where the stage has no such neighbour.
	How remote.Link
	// Why is the reason for a relay through this process, else nil.
	Why error
}

func linkOf(how remote.Link, why error) Link { return Link{how, why} }
