// Package keeper keeps local programs from taking the death of this process for the
// end of their input. Linux only: elsewhere New returns nil.
//
// When a process is killed the kernel closes its pipes before it tells its children
// (PR_SET_PDEATHSIG(2const)), so that who reads one of them may see an end of input
// that is none, and commit a part. A keeper is a small process of this one's own
// executable, started with [Name] as argument zero, which main hands to [Main] before
// anything else. It holds duplicates of the ends that this process writes to.
//
// # Who owns what
//
// A [Keeper] owns its process, which it starts when a first pipe is held, and ends in
// Close. A pipe stays its maker's, who releases it where he closes it: until both has
// happened its reader sees no end. The process has a session of its own, takes no signal
// but KILL and STOP, and holds nothing else of this one's open.
//
// # What if
//
// This process dies while pipes are held: the keeper stops and kills all who can read
// them, and who reads a pipe that one of those has as its standard output; then it
// exits. They die with their whole process group, unless that is the one of this
// process, where others may be too. A process that it may not look at or cannot kill,
// another user's for instance, sees the end after a bound.
//
// The keeper dies, or cannot be started: everything goes on without it. Both are
// killed in the same instant, with their control group for instance: as without it.
// The keeper is stopped: no pipe that is held comes to its end.
package keeper
