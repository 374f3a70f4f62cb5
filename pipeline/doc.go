// Package pipeline runs a script that package parser has read: a parser.Program
// goes in, and comes out as output, a status, and one *StageError for each stage
// that failed in a way of its own. It owns pipes, processes and statuses; what
// else a shell does is left to the interpreter, mvdan.cc/sh/v3/interp.
//
// # Lifting
//
// The tree of the program is copied, and pipelines of two or more stages in the copy
// are replaced by marks, wherever they stand: commands whose names no script can write,
// which the exec handler takes for "run that pipeline here". So "!", "&&", "if" and "set
// -e" around a pipeline stay the interpreter's, and so do the shells that it makes for
// ( ), $( ), <( ), >( ) and commands in the background. A mark is run in copies of the
// Runner that executes it, which runnerOf finds: whoever has made that, and whatever
// function runs in it. Other marks bring PIPESTATUS up to date, measure time, give loops
// the status of their body, and give a list a shell of ours, where it sets a trap for
// its end, or does what only functions may. Those for jobs and traps are described below.
//
// What "eval", "source" and traps run is known only then. Such a text is read when it is
// run, rewritten in the same way, and printed for the interpreter, with a secret in the
// names of its marks, and with marks for the functions that it defines, so that their
// trees are not printed. If it does not come out of that as the same tree, or names a bad
// address, it is left as it is: its pipelines are then the interpreter's, and all that
// they call is run as everywhere else.
//
// What prints functions and traps prints what the user has written.
//
// # Builtins
//
// Where the interpreter's builtins are not bash's, they are ours: builtinOf names them.
// The call handler makes their call a mark, or runs at once those that only write or
// test. What they put out waits until it can be written, and what they read until it can
// be read, no longer than the context lives; errors of both are told. Of an input that
// cannot be sought no byte is taken that is not needed. What a shell must know for them
// is in variables with hidden names, which subshells inherit. How words are put into form
// and lines are divided is in package format.
//
// # Words
//
// Words and assignments that the interpreter would not expand as bash does are found in the
// lifted tree: a command substitution with a mark in it takes their place, and behind it the
// variable that the mark leaves the value in. Package words expands them, and package arith
// is its arithmetic. What is plain stays the interpreter's, because a mark costs some
// microseconds. Names of variables that are for us begin as the names of marks do.
//
// # Loops and statuses
//
// Where "break" or "continue" stands deeper in a loop than in its own list, what follows it
// there becomes the body of a loop of one round. A compound command ends with success, and
// a mark behind it with the status, where "set -e" must not act on that.
//
// # Stages, and who closes what
//
// Each stage of a pipeline is an interp.Runner.Subshell in a goroutine of
// its own, stageRun.run, which runPipeline waits for. Neighbours are joined by a
// kernel pipe. The shell of a stage holds its ends of the pipes (in, out): they are
// closed when a program that is the whole stage has been started with copies of
// them, unless a process substitution may use them too; else when the stage is
// over and has no command in the background; else when those have ended. Every
// local process has a goroutine that watches its context, which process.wait waits
// for, or which ends with a program that outlives the script. A remote command
// has those of remote.Cmd, and a service those of remote.Service, which Wait waits for.
//
// # Descriptors
//
// The interpreter knows three streams, and not all redirections of those. Where a
// program needs more, all of its redirections are rewritten: each becomes one of stderr
// to a word that begins with a mark and says the rest, which the open handler does. What
// comes of it, descriptors, is the writer that is the shell's stderr from then on, with
// the true one behind it, with everything above 2, and with umask and limits: so the
// interpreter copies it into subshells and restores it after commands. streamOf, fileOf
// and stderrOf say what a handler's command really has. Who owns what is open is a frame:
// of a shell, of a command with redirections, or of a command in the background, which
// holds all that was open when it began. Without an owner it is closed, there and then,
// so that who reads a pipe comes to its end. What a command opens that turns out to be a
// program is closed as soon as that runs.
//
// Programs inherit descriptors at their numbers. What os/exec cannot give them, package
// launcher does.
//
// # Two-phase start
//
// Stages that may need a host begin first. Each opens its command, and meets the
// others at the barrier; when all are there, or have turned out to need no host,
// either all stages go on or, if a host has refused, none. A stage whose words run
// commands is waited for only for a fixed time, because such a command may wait for
// a stage that has not begun.
//
// # Services
//
// A stage that names a service calls it with a remote.Service. To connect is to start
// it: so it meets the others twice at the barrier, when every program is accepted, and
// when every service is connected. If a program is refused no service is called; if a
// service is, the others are reset before they can see an end of input. A service is
// never part of a chain, and what is said of the loss of a remote command below holds for
// it, too. What ended is all that is known of one: its status is 0.
//
// # Chains
//
// Remote commands of neighbouring stages with nothing but a pipe between them are one
// chain, a remote.Chain. Each stage brings its command to the gathering of its
// neighbours when its words are expanded; when all have come, or have turned out not
// to be remote, the chains are made. The first command to call opens its chain, each
// meets the barrier, the last to be ready starts the chain, and each waits for its own
// outcome. The pipes between them stay empty.
//
// # Jobs
//
// A command in the background is a mark too, which starts a job: a shell of ours in a
// goroutine, that a custody waits for. Where the job is one program the mark returns
// when that has been started, and "$!", which is a variable of ours, holds its process
// id; else "$!" holds a number that no process can have, and "kill" does to what runs
// in the job what the signal would do to a shell: its trap runs, or everything in it is
// cancelled. Streams that the shell may close are open a second time for the job. The
// output of $( ) is complete when its jobs have ended, and so is that of a stage.
//
// # Traps and signals
//
// A shellState, one for each shell, holds the traps, and the signals whose traps have to
// run. Signals of the process come through Options.Signals, to the shell of the script;
// those that "kill" sends to it, or to a job, come at once. The traps run at marks behind
// every command during which a signal is likely to come, and in front of each run of a
// loop; in texts without such marks before the next command. EXIT traps run when
// the shell has ended, in the same Runner: runShell. ERR traps run in a callback of the
// interpreter, and DEBUG traps at marks before the commands. A shell that a signal has
// ended has the time of Options.Grace for the trap of its end.
//
// # Poison
//
// A remote command that ends without saying how is lost, and what it has written
// may be a part. While its output is open still, the stage that got this part is
// made a lost one, there and then: also through functions, substitutions and
// pipelines inside of it, and even if the script handles the failure there, for the
// bytes are in the pipe. Its shell does not go on. What comes after it is stopped
// and then killed, before any of it can see an end of input; so are readers of FIFOs,
// and of pipes of the interpreter, that the command has written to. The hunter knows
// everything that runs, by what it reads and writes; nothing is started, and nobody who
// waits for a victim goes on, while it kills.
//
// # Variables, options and declarations
//
// What a shell sets by itself (SECONDS, BASHPID, SHELLOPTS, ...) is added to the
// variables of a Runner, by variables, where the text of the script names such a
// variable or may run texts that do; so are the attributes that the interpreter has not
// got. What depends on where a command stands (FUNCNAME, $_, BASH_COMMAND) is kept by
// marks, and at the calls of commands, under the same condition. BASH_VERSION is that
// of the bash whose manual is followed, with "rpipe" as its release status. A subshell
// is no process: its BASHPID is a number that no process can have.
//
// The state of the shell that the interpreter does not know (attributes, options, the
// exported functions) is in variables whose names begin with NUL: they are copied into
// subshells and go out of scope as all variables do. SHELLOPTS and BASHOPTS are the
// options of a shell, and "set" and "shopt" are the only ones that change them.
//
// Declarations that the interpreter gets wrong are marks; the others stay its own.
// Functions are printed by layout, from what was written, as bash prints them.
//
// # The verdict
//
// The status of a pipeline is that of its rightmost lost stage; else of the last
// stage; else, under pipefail, of the rightmost that failed, where a stage which
// SIGPIPE has ended because its reader had gone is none. A failure travels through
// the interpreter as an error that wraps its status, and comes back from there if
// nothing comes between. Where a shell's rules would hide a loss (a substitution
// in words, a list that goes on, "!", the background), the surveyor has found from
// the text that nobody looks at the status; then the script ends with 76 where it
// would have ended with 0.
package pipeline
