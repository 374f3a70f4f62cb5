package discovery

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/miekg/dns"
)

// statusUnreachable is EX_UNAVAILABLE of sysexits.h, rpipe's status for what cannot be
// reached.
const statusUnreachable = 69

// NoListError is a name that lists no services.
type NoListError struct {
	Zone   string // as the user named it
	Server string // host:port that was asked
	Exists bool   // there is such a name, and perhaps such a zone
}

// Error says which of the two it is.
func (e *NoListError) Error() string {
	if e.Exists {
		return fmt.Sprintf("%q lists no services (asked %s)", e.Zone, e.Server)
	}
	return fmt.Sprintf("there is no zone %q (asked %s)", e.Zone, e.Server)
}

// ExitStatus returns 69.
func (e *NoListError) ExitStatus() int { return statusUnreachable }

// Hint says what to look at.
func (e *NoListError) Hint() string {
	if e.Exists {
		return fmt.Sprintf("a zone of rpiped lists them with list = true in [services]; rpipe --list %s, without the @, lists the programs of a host", e.Zone)
	}
	return "check the name; --resolver ADDR asks the zone's own name server, which others may not know"
}

// ServerError is a name server without an answer to work with.
type ServerError struct {
	Server string // host:port; empty: there is none to ask
	Err    error  // of the network; else nil
	Rcode  int    // of the answer, with Err nil
}

// Error says what came.
func (e *ServerError) Error() string {
	switch {
	case e.Server == "":
		return fmt.Sprintf("no name server to ask: %v", e.Err)
	case e.Err != nil:
		return fmt.Sprintf("the name server %s gives no answer: %v", e.Server, innermost(e.Err))
	}
	return fmt.Sprintf("the name server %s says %s", e.Server, dns.RcodeToString[e.Rcode])
}

// Unwrap returns the error of the network.
func (e *ServerError) Unwrap() error { return e.Err }

// ExitStatus returns 69.
func (e *ServerError) ExitStatus() int { return statusUnreachable }

// Hint says whom to ask.
func (e *ServerError) Hint() string {
	if e.Err == nil && e.Rcode == dns.RcodeRefused {
		return "it does not know that zone: check the name, or ask another name server with --resolver ADDR"
	}
	return "--resolver ADDR asks another name server"
}

// innermost leaves out what net's errors repeat.
func innermost(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		if op.Timeout() {
			return errors.New("nothing came in time")
		}
		err = op.Err
	}
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		return sys.Err
	}
	return err
}
