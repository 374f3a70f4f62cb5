// Package wiretest reads the test vectors of rpipe/1, which the tests of the
// codec, of the client and of the daemon share, and which docs/protocol.md
// quotes. It is for tests.
//
// A vector is one text file, named after the vector, with these fields in this
// order:
//
//	name: eof-stdin
//	description: What it shows. Further lines of it are indented.
//	to: server
//	state: running
//	hex:
//	    06 00 00 00 08     # a comment
//	    00*7 06            # seven zero bytes and a six
//	decoded:
//	    EOF stdin 6
//	reason: why the receiver gives up
//
// A vector has either decoded, the meaning of its frames, one line or more for
// each, or reason, the problem that the receiver finds in them.
//
// Without to and state the frames are judged by themselves. With them they come
// to that end of a connection, which is "idle": no session was there; "open": one
// is, before START; "running": one is, after START, with the first credit and
// nothing sent yet; "ended": one was, and the next was not asked for; "taking": the
// connection is to be a hop, before TAKEN; "hop": it is one, after TAKEN; or
// "chained": "running", with stdin and stdout over hops.
package wiretest
