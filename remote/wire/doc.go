// Package wire is the rpipe/1 protocol: frames, the messages inside them, and
// the flow control between two ends of one connection. docs/protocol.md is its
// specification, with the same names and numbers.
//
// In goes an [io.ReadWriteCloser] that is already private and authenticated;
// the package knows io, not net. Out come control frames, handed to one
// function, and data streams: [Sender] and [Receiver].
//
// Three rules shape it.
//
// End of input is a frame. A connection that ends says nothing about the
// streams on it: a read error, a FIN or a reset before the session's last END
// is a loss, and every stream on the connection ends with that error. An EOF
// frame carries the number of bytes that went before it, and a different count
// is a [ProtocolError].
//
// Each side always empties its socket. The read loop of a [Conn] puts data into
// bounded buffers, one for each stream, and never waits for their readers: the
// credit window of a stream is the room that its buffer has left. So a reader
// that stalls holds up neither SIGNAL nor PING nor another stream.
//
// Silence is death. An end that has sent nothing for [DefaultIdleTimeout] sends a
// PING, and a peer from which nothing came for [DefaultDeadTimeout] is gone.
//
// A hop is a connection between two daemons that carries the output of one
// session to the input of another: its one stream is stdin, and the daemon that
// sends it is the connection's client. See [Conn.BeginHop], and [Session.Divert]
// for what the clients of the two sessions see.
//
// Ownership: [NewConn] takes the stream over, and [Conn.Close] closes it and
// waits for the goroutines of the Conn. Streams belong to a session, from
// [Conn.Begin] to [Conn.End]; after that nothing of theirs is sent, so that it
// cannot be taken for the next session's. Which control frame may come when is
// for the client and the server to check: a Conn checks frames, directions,
// streams and credit.
package wire
