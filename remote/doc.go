// Package remote runs programs on other hosts. [Cmd] has the shape of
// [os/exec.Cmd]; a [Dialer] gives it connections to rpiped daemons, speaks for
// the user's key and checks the hosts' keys.
//
// In go an address, argv and three streams; out come the program's bytes and
// its [Result], or an error that says what is known: *[DialError] and
// *[RefusedError] before anything ran, *[LostError] where the stream or the
// status was cut, *[ExitError] for a program that failed. Success never rests
// on an end of input: it is what the host's END frames say, after both outputs
// were complete to the byte.
//
// A host may be in several places, given by [Dialer].Resolve or by SRV records.
// One that cannot be reached, is busy or is draining gives way to the next, and a
// host that is busy is waited for; every other answer stands. This is before
// anything has run or was read, and never again after that.
//
// A Cmd starts in two steps. Open dials, proves who we are and is accepted;
// no program runs and no input is taken. Start runs the program. Whoever opened
// a Cmd must Start and Wait for it, or Close it.
//
// A [Chain] is several such programs in a row. Neighbours on one host are one
// session; between two hosts the output goes over a hop, which the first host makes
// with a ticket for the second, or through this process. It opens all hosts before it
// starts any, and when a part of it is lost, aborts those after it before one of them
// can see an end of its input, and ends those before it.
//
// The streams given to a Cmd stay the caller's: it closes none of them. Those
// that are files are waited for with poll(2), so that a Cmd whose program has
// ended takes no byte more and waits for nobody, and one whose reader has gone
// notices before it writes.
//
// A [Service] is a call of a program of which nothing is known but an address: a plain
// stream, on which each side ends what it says by half-closing it. It has no arguments,
// no identity and no status: an end of its output says that it ended, and not how; a
// reset is a loss. It runs from the moment of the connection, so it is opened last.
// [Dialer].Service makes one with the Dialer's resolver and time-outs.
//
// The package knows nothing of shells: an argv crosses the network as it is.
package remote
