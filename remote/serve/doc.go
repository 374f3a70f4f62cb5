// Package serve is the daemon: it lets authorised callers run named programs,
// and nothing else.
//
// In go a host key, the keys of callers, a [Table] of programs and listeners;
// out come sessions, each of one connection's, and one log line for each.
//
// # Who owns what
//
// A [Server] owns its listeners and connections. Each connection has one
// goroutine, which answers its requests one after another and runs its sessions
// itself; the read loop of its wire.Conn only hands frames over. A session owns
// its processes, their pipes and its private folder, and has given them all back
// when it returns. Shutdown and Close wait for all of that.
//
// # How a session ends
//
// When every program has exited and stdout is at its end. Then whatever is left
// is killed: with a reaper all descendants, else the process group, while the dead
// leader still holds the group's number. stderr is read to its end; both EOF frames
// go out, and END for each program last.
//
// A connection that is lost kills the group before anything is closed, so that
// no program takes the input that it got for the whole. So does, with a reaper, the
// death of this process.
package serve
