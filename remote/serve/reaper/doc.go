// Package reaper keeps programs from outliving the daemon that wants them, and
// from taking its death for the end of their input. Linux only: elsewhere NewPool
// returns nil, and a daemon starts its programs itself.
//
// A reaper is a small process: this one's own executable, started with [Name] as
// its only argument, which main hands to [Main] before anything else. It is the
// parent of a session's programs, and a subreaper (PR_SET_CHILD_SUBREAPER(2const)):
// whatever they start stays below it, also behind setsid(2) and a double fork. It
// serves one session at a time, and the next when nothing is left of the last.
//
// # Who owns what
//
// A [Pool] owns the processes. A [Reaper] is lent by [Pool.Take] to one session,
// whose Close gives it back. The pipes stay their maker's: the reaper gets
// duplicates, one of them of the end of standard input that is written to. So when
// the daemon is killed, the pipe stays open until the reaper, which sees its socket
// end, has stopped and killed every program; only a daemon that says that the input has
// ended closes it earlier.
//
// # What if
//
// The daemon dies: see above; the reaper exits when it has no child left. The
// reaper dies: its programs are killed by the kernel (PR_SET_PDEATHSIG(2const)),
// the rest of their group by the pool, and what has left the group where
// [Options.Alone] allows it; the session is lost, never ended. Both are killed in the same
// instant: the programs die, but may see an end of input first. A process that
// cannot be killed, by its state or its rights, is left behind after a bound.
package reaper
