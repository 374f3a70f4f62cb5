package remote

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"

	"rpipe/remote/wire"
)

// The errors of this package have a method ExitStatus, the exit status that
// rpipe gives for them, and, where there is a next step to tell, Hint.

// DialError is a host that could not be reached. Nothing ran.
type DialError struct {
	Address string // host:port as dialled; of several, or where none was found, the host as the user names it
	Err     error
}

// Error says what happened, in one line without the host's part in our story.
func (e *DialError) Error() string {
	return fmt.Sprintf("cannot reach %s: %v", e.Address, innermost(e.Err))
}

// Unwrap returns the cause.
func (e *DialError) Unwrap() error { return e.Err }

// ExitStatus returns 69, EX_UNAVAILABLE of sysexits.h.
func (e *DialError) ExitStatus() int { return 69 }

// Hint says what to look at.
func (e *DialError) Hint() string {
	var dns *net.DNSError
	var several unreachableError
	switch {
	case errors.Is(e.Err, syscall.EMFILE), errors.Is(e.Err, syscall.ENFILE):
		return "this machine's limit of open files is reached: see ulimit -n"
	case errors.As(e.Err, &dns):
		return "check the name, or give the host an address in rpipe's config.toml"
	case errors.Is(e.Err, errNoService):
		return "give the host an address in rpipe's config.toml, if it has an rpiped all the same"
	case errors.As(e.Err, &several):
		return "is rpiped running on one of them?"
	}
	return fmt.Sprintf("is rpiped running there, and listening on %s?", e.Address)
}

// innermost strips the layers of net's errors, which repeat the address, and says
// what an end of the connection is.
func innermost(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the other end closed the connection")
	}
	var op *net.OpError
	for errors.As(err, &op) {
		err = op.Err
	}
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		err = sys.Err
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	var dns *net.DNSError
	switch {
	case !errors.As(err, &dns):
		return err
	case dns.IsTimeout:
		return errors.New("no answer from the name server in time")
	}
	return errors.New(dns.Err)
}

// RefusedError is a host that would not run a session. Nothing of it ran.
type RefusedError struct {
	Program int // index in Cmd.Programs
	Status  wire.Status
	Text    string // the host's words; may hold anything
}

// Error gives the host's reason.
func (e *RefusedError) Error() string {
	switch e.Status {
	case wire.StatusBusy:
		return "busy: " + e.Text
	case wire.StatusIdentity:
		return "unauthorised: " + e.Text
	case wire.StatusDenied:
		return "refused: " + e.Text
	}
	return e.Text
}

// ExitStatus returns the status of the REFUSE frame.
func (e *RefusedError) ExitStatus() int { return int(e.Status) }

// Hint says what to do about it.
func (e *RefusedError) Hint() string {
	switch e.Status {
	case wire.StatusIdentity:
		return "its administrator adds the line of your .pub file to authorized_keys there, and sends rpiped a SIGHUP"
	case wire.StatusBusy:
		return "nothing ran: try again later"
	}
	return ""
}

// LostError is a session that was cut: what came of its output may be a part,
// and how its programs ended is not known.
type LostError struct {
	Delivered int64 // bytes of stdout that arrived
	Service   bool  // it was the call of a Service
	Err       error
}

// Error says what was lost and how much had come.
func (e *LostError) Error() string {
	return fmt.Sprintf("lost: %v (%d bytes of output had arrived)", innermost(e.Err), e.Delivered)
}

// Unwrap returns the cause.
func (e *LostError) Unwrap() error { return e.Err }

// ExitStatus returns 76, EX_PROTOCOL of sysexits.h.
func (e *LostError) ExitStatus() int { return 76 }

// Hint says what a loss means.
func (e *LostError) Hint() string {
	switch {
	case e.Service && e.Delivered == 0:
		return "a service that is busy, that lets only other networks in, or that takes this for a browser does so, and one that fails: the log of its server may tell"
	case e.Service:
		return "the output is incomplete: the service was killed, or has failed; the log of its server may tell"
	}
	return "the output is incomplete, and the program may have run in part"
}

// inputLostError is a host that has lost the hop which its session's input came
// over.
type inputLostError struct {
	text string // the host's words; may hold anything
}

func (e *inputLostError) Error() string { return e.text }

// ExitError is a program that ended with a status other than 0, or by a signal.
// Of several programs it is the rightmost such one.
type ExitError struct {
	Program int // index in Cmd.Programs
	Status  int
	Signal  string // name without SIG, or ""
}

// Error gives the status, or the signal.
func (e *ExitError) Error() string {
	if e.Signal != "" {
		return fmt.Sprintf("killed by signal: SIG%s", e.Signal)
	}
	return fmt.Sprintf("exit status %d", e.Status)
}

// ExitStatus returns the program's status, or 128 plus the signal's number as
// this system numbers it.
func (e *ExitError) ExitStatus() int {
	if e.Signal != "" {
		return 128 + signalNumber(e.Signal)
	}
	return e.Status
}

// CopyError is a local stream that failed while the session ran: an input that
// cannot be read, an output that cannot be written for another reason than that
// its reader has gone. A program whose input failed was killed, and did not see
// an end of it; one whose output failed got SIGPIPE.
type CopyError struct {
	Stream wire.Stream
	Err    error
}

// Error says which stream, and why.
func (e *CopyError) Error() string {
	if e.Stream == wire.Stdin {
		return fmt.Sprintf("cannot read its input: %v", innermost(e.Err))
	}
	return fmt.Sprintf("cannot write its %v: %v", e.Stream, innermost(e.Err))
}

// Output reports whether it was an output.
func (e *CopyError) Output() bool { return e.Stream != wire.Stdin }

// Unwrap returns the cause.
func (e *CopyError) Unwrap() error { return e.Err }

// ExitStatus returns 1, as from a local program whose reads or writes fail.
func (e *CopyError) ExitStatus() int { return 1 }
