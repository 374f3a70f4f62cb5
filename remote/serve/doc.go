// Package serve is the daemon: it lets authorised callers run named programs,
// and nothing else.
//
// In go a host key, the keys of callers, a [Table] of programs, the [Hops] that may
// be made, and listeners; out come sessions, each of one connection's, and one log
// line for each.
//
// # Who owns what
//
// A [Server] owns its listeners and connections. Each connection has one
// goroutine, which answers its requests one after another and runs its sessions
// itself; the read loop of its wire.Conn only hands frames over. A session owns
// its processes, their pipes and its private folder, and has given them all back
// when it returns. Shutdown and Close wait for all of that.
//
// # Hops
//
// A session has a source of input and a sink of output. Each is a stream of the
// caller's connection or of a hop, a connection between this daemon and another. The
// hop of the output is dialled by the session, which owns it; the hop of the input is
// a connection that was accepted, whose goroutine waits until the session to which
// the ticket led is done with it.
//
// Nothing is dialled but what Hops lists. A ticket is good for one taker, once, and
// gone with its session.
//
// # How a session ends
//
// When every program has exited and stdout is at its end. Then whatever is left
// is killed: with a reaper all descendants, else the process group, while the dead
// leader still holds the group's number. stderr is read to its end; both EOF frames
// go out, and END for each program last.
//
// A connection that is lost kills the group before anything is closed, so that
// no program takes the input that it got for the whole. So does a hop of the input
// that is cut and, with a reaper, the death of this process. Before that kill, and
// before any signal of the caller's that ends programs, it is settled that the hop of
// the output has no EOF any more.
//
// # Services
//
// [Services] are programs behind addresses of their own, raw TCP or Unix sockets,
// which know no callers: a [Service] and its listeners go in, and one log line for
// each connection comes out. Each connection has one goroutine, which owns the
// socket and the program; Set replaces the services while connections go on.
//
// A connection is reset by whatever closes it (SO_LINGER), until its program has
// ended well: then both sides end with FIN. A client that is lost has the program
// killed before its input is closed. docs/services.md is the whole of it.
package serve
