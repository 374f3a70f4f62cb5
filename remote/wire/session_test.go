package wire

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"rpipe/remote/wire/wiretest"
)

var update = flag.Bool("update", false, "record testdata/session.txt, and the examples of docs/protocol.md, anew")

// caller is a client that says the same things in the same order each time: it
// asks for the list, for a program that is refused, for one that answers its
// whole input, and for two whose output it stops.
type caller struct {
	conn   *Conn
	frames chan Frame
}

func newCaller(rwc io.ReadWriteCloser) *caller {
	c := &caller{NewConn(rwc, quiet(Client)), make(chan Frame, 8)}
	c.conn.Start(func(f Frame) error {
		f.Payload = bytes.Clone(f.Payload)
		c.frames <- f // a test's server does not send more than there is room for
		return nil
	})
	return c
}

// next returns the next control frame, which must be of type t.
func (c *caller) next(t Type) (Frame, error) {
	var f Frame
	select {
	case f = <-c.frames:
	case <-c.conn.Done():
		select {
		case f = <-c.frames:
		default:
			return f, within(c.conn.Err())
		}
	}
	if f.Type != t {
		return f, fmt.Errorf("%v instead of %v", f.Type, t)
	}
	return f, nil
}

// run holds the whole conversation, and returns how many sessions were complete.
func (c *caller) run() (complete int, err error) {
	defer c.conn.Close()
	if err := c.list(); err != nil {
		return complete, err
	}
	if err := c.refused(); err != nil {
		return complete, err
	}
	for _, session := range []func() error{c.answered, c.stopped} {
		if err := session(); err != nil {
			return complete, err
		}
		complete++
	}
	return complete, nil
}

func (c *caller) list() error {
	if err := c.conn.Send(Frame{Type: TypeList}); err != nil {
		return err
	}
	f, err := c.next(TypePrograms)
	if err != nil {
		return err
	}
	body, whole, err := new(Message).Add(f)
	if err != nil || !whole {
		return errors.Join(err, errors.New("a long list"))
	}
	_, err = DecodePrograms(body)
	return err
}

func (c *caller) ask(programs ...Program) error {
	frames, err := Open{Programs: programs}.Frames()
	for _, f := range frames {
		err = errors.Join(err, c.conn.Send(f))
	}
	return err
}

func (c *caller) refused() error {
	if err := c.ask(Program{Name: "nosuch"}); err != nil {
		return err
	}
	f, err := c.next(TypeRefuse)
	if err != nil {
		return err
	}
	_, err = DecodeRefuse(f.Payload)
	return err
}

// start asks for a session, and lets it run.
func (c *caller) start(programs ...Program) (*Session, error) {
	if err := c.ask(programs...); err != nil {
		return nil, err
	}
	if _, err := c.next(TypeAccept); err != nil {
		return nil, err
	}
	s := c.conn.Begin()
	return s, c.conn.Send(Frame{Type: TypeStart})
}

// ends takes the ENDs of a session.
func (c *caller) ends(s *Session, n int) error {
	for i := range n {
		f, err := c.next(TypeEnd)
		if err != nil {
			return err
		}
		if e, err := DecodeEnd(f.Payload); err != nil || e.Program != i || !s.Complete() {
			return fmt.Errorf("END of program %d, %v, outputs complete: %v", e.Program, err, s.Complete())
		}
	}
	c.conn.End()
	return nil
}

func (c *caller) answered() error {
	s, err := c.start(Program{Name: "upper", Env: []Env{{Name: "LC_ALL", Value: "C", Required: true}}})
	if err != nil {
		return err
	}
	f, err := SignalFrame("USR1")
	if err != nil {
		return err
	}
	s.Stdin.awaitCredit()
	_, werr := s.Stdin.Write([]byte("hello "))
	if err := errors.Join(werr, c.conn.Send(f)); err != nil {
		return err
	}
	if _, err := s.Stdin.Write([]byte("world\n")); err != nil {
		return err
	}
	if err := s.Stdin.Close(); err != nil {
		return err
	}
	var out, errs strings.Builder
	if _, err := s.Stdout.WriteTo(&out); err != nil {
		return err
	}
	if _, err := s.Stderr.WriteTo(&errs); err != nil {
		return err
	}
	if out.String() != "HELLO WORLD\n" || errs.String() != "12 bytes\n" {
		return fmt.Errorf("got %q and %q", out.String(), errs.String())
	}
	return c.ends(s, 1)
}

// awaitCredit waits for the first WINDOW.
func (s *Sender) awaitCredit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.credit == InitialWindow && s.err == nil {
		s.wake.Wait()
	}
}

func (c *caller) stopped() error {
	s, err := c.start(Program{Name: "yes", Args: []string{"a b"}}, Program{Name: "upper"})
	if err != nil {
		return err
	}
	<-s.Stdin.Over()
	if err := s.Stdin.Close(); err != ErrStopped {
		return within(c.conn.Err())
	}
	if _, err := s.Stdout.WriteTo(&shortWriter{io.Discard, 2}); err != io.ErrShortWrite {
		return err
	}
	s.Stdout.Stop()
	if _, err := s.Stderr.WriteTo(io.Discard); err != nil {
		return err
	}
	return c.ends(s, 2)
}

// callee is the server for a caller.
type callee struct {
	conn     *Conn
	requests chan Frame
	started  chan struct{}
	message  Message
}

func newCallee(rwc io.ReadWriteCloser) *callee {
	c := &callee{
		conn:     NewConn(rwc, quiet(Server)),
		requests: make(chan Frame, 1),
		started:  make(chan struct{}, 1),
	}
	c.conn.Start(c.handle)
	return c
}

func (c *callee) handle(f Frame) error {
	switch f.Type {
	case TypeStart:
		c.started <- struct{}{}
	case TypeSignal:
		_, err := DecodeSignal(f.Payload)
		return err
	default:
		f.Payload = bytes.Clone(f.Payload)
		c.requests <- f
	}
	return nil
}

// run answers requests until the connection ends. It returns how many sessions
// had an input that was complete, or an output that the client stopped.
func (c *callee) run() (complete int, err error) {
	defer c.conn.Close()
	for {
		select {
		case f := <-c.requests:
			done, err := c.answer(f)
			if err != nil {
				return complete, err
			}
			if done {
				complete++
			}
		case <-c.conn.Done():
			return complete, c.conn.Err()
		}
	}
}

func (c *callee) answer(f Frame) (complete bool, err error) {
	if f.Type == TypeList {
		frames, err := ProgramsFrames([]Listing{{"upper", "capital letters"}, {"yes", ""}})
		return false, errors.Join(err, c.conn.Send(frames[0]))
	}
	body, _, err := c.message.Add(f)
	if err != nil {
		return false, err
	}
	o, err := DecodeOpen(body)
	if err != nil {
		return false, err
	}
	if o.Programs[0].Name == "nosuch" {
		return false, c.conn.Send(Refuse{Status: StatusNotFound, Text: `no program "nosuch"`}.Frame())
	}
	s := c.conn.Begin()
	if err := c.conn.Send(Accept{Input: true}.Frame()); err != nil {
		return false, err
	}
	select {
	case <-c.started:
	case <-c.conn.Done():
		return false, c.conn.Err()
	}
	program := c.upper
	if len(o.Programs) > 1 {
		program = c.yes
	}
	if err := program(s); err != nil {
		return false, err
	}
	in, out := s.Input.Received(), s.Output.Sent()
	c.conn.End()
	for i := range o.Programs {
		e := End{Program: i, MaxRSS: 1 << 20}
		if i == 0 {
			e.In = in
		}
		if i == len(o.Programs)-1 {
			e.Out = out
		}
		err = errors.Join(err, c.conn.Send(e.Frame()))
	}
	return true, err
}

// upper answers the whole input, and gives credit for a little more of it.
func (c *callee) upper(s *Session) error {
	s.Input.mu.Lock()
	s.Input.credit += 1000
	s.Input.mu.Unlock()
	c.conn.sendFor(s.Input, windowFrame(Stdin, 1000))
	var in strings.Builder
	if _, err := s.Input.WriteTo(&in); err != nil {
		return err
	}
	_, werr := io.WriteString(s.Output, strings.ToUpper(in.String()))
	_, eerr := fmt.Fprintf(s.Error, "%d bytes\n", in.Len())
	return errors.Join(werr, eerr, s.Output.Close(), s.Error.Close())
}

// yes wants no input, and writes until nobody reads.
func (c *callee) yes(s *Session) error {
	s.Input.Stop()
	if _, err := io.WriteString(s.Output, "a b\n"); err != nil {
		return err
	}
	<-s.Output.Over()
	if _, err := s.Output.Write([]byte("a b\n")); err != ErrStopped {
		return err
	}
	return errors.Join(s.Output.Close(), s.Error.Close())
}

// said is one frame of a recorded conversation.
type said struct {
	by    Role
	bytes []byte
}

// tape records what two ends say, in an order in which every answer is after its
// question.
type tape struct {
	mu   sync.Mutex
	said []said
}

type taped struct {
	net.Conn
	tape *tape
	role Role
}

func (c taped) Write(p []byte) (int, error) {
	c.tape.mu.Lock()
	c.tape.said = append(c.tape.said, said{c.role, bytes.Clone(p)})
	c.tape.mu.Unlock()
	return c.Conn.Write(p)
}

// converse lets a caller and a callee talk, and returns what was said.
func converse(t *testing.T) []said {
	t.Helper()
	a, b := tcpPair(t)
	tape := new(tape)
	server := run(func() error {
		complete, err := newCallee(taped{b, tape, Server}).run()
		if complete != 2 || err != io.EOF {
			return fmt.Errorf("%d complete sessions, then %w", complete, err)
		}
		return nil
	})
	if complete, err := newCaller(taped{a, tape, Client}).run(); complete != 2 || err != nil {
		t.Errorf("client: %d complete sessions, then %v", complete, err)
	}
	if err := await(t, "the server", server); err != nil {
		t.Errorf("server: %v", err)
	}
	return tape.said
}

const sessionFile = "testdata/session.txt"

var names = map[Role]string{Client: "client", Server: "server"}

// recorded returns the conversation in testdata.
func recorded(t testing.TB) []said {
	t.Helper()
	text, err := os.ReadFile(sessionFile)
	if err != nil {
		t.Fatal(err)
	}
	var all []said
	for block := range strings.SplitSeq(string(text), "\n\n") {
		v, err := wiretest.Parse(strings.TrimSpace(block) + "\n")
		if err != nil {
			t.Fatalf("%s: %v", sessionFile, err)
		}
		by := Client
		if v.To == "client" {
			by = Server
		}
		all = append(all, said{by, v.Bytes})
	}
	return all
}

func record(t *testing.T, all []said) {
	t.Helper()
	var text []string
	for i, s := range all {
		decoded, err := decode(s.bytes)
		if err != nil {
			t.Fatal(err)
		}
		decoded = strings.ReplaceAll(strings.TrimSuffix(decoded, "\n"), "\n", "\n    ")
		text = append(text, fmt.Sprintf("name: %d\ndescription: said by the %s\nto: %s\nstate: running\nhex:\n    % x\ndecoded:\n    %s\n",
			i+1, names[s.by], names[s.by.other()], s.bytes, decoded))
	}
	if err := os.WriteFile(filepath.FromSlash(sessionFile), []byte(strings.Join(text, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
}

func bytesOf(all []said, by Role) []byte {
	var b []byte
	for _, s := range all {
		if s.by == by {
			b = append(b, s.bytes...)
		}
	}
	return b
}

func TestBothEndsSayWhatWasRecorded(t *testing.T) {
	all := converse(t)
	if *update {
		record(t, all)
	}
	want := recorded(t)
	for _, by := range []Role{Client, Server} {
		if got, want := bytesOf(all, by), bytesOf(want, by); !bytes.Equal(got, want) {
			t.Errorf("the %s says\n% x\nwant\n% x", names[by], got, want)
		}
	}
}

// replay plays one role of a recorded conversation to the end of conn, and cuts
// what it says after n bytes.
func replay(conn net.Conn, all []said, by Role, n int) error {
	defer conn.Close()
	for _, s := range all {
		if s.by != by {
			if _, err := io.ReadFull(conn, make([]byte, len(s.bytes))); err != nil {
				return err
			}
			continue
		}
		k := min(n, len(s.bytes))
		if _, err := conn.Write(s.bytes[:k]); err != nil {
			return err
		}
		if n -= k; n == 0 {
			// The FIN must come before any reset, as from a carrier that is cut
			// without a trace.
			_ = conn.(*net.TCPConn).CloseWrite()
			_, err := io.Copy(io.Discard, conn)
			return err
		}
	}
	return nil
}

func TestSessionCutAnywhereIsALoss(t *testing.T) {
	all := recorded(t)
	for _, test := range []struct {
		role Role
		run  func(io.ReadWriteCloser) (int, error)
		// completes reports whether a frame of the peer completes a session.
		completes func(f, next Frame) bool
	}{
		{Client, func(c io.ReadWriteCloser) (int, error) { return newCaller(c).run() }, func(f, next Frame) bool {
			return f.Type == TypeEnd && next.Type != TypeEnd
		}},
		{Server, func(c io.ReadWriteCloser) (int, error) { return newCallee(c).run() }, func(f, _ Frame) bool {
			return f.Type == TypeEOF || f.Type == TypeStop
		}},
	} {
		t.Run(names[test.role], func(t *testing.T) {
			peer := test.role.other()
			heard := bytesOf(all, peer)
			for n := 1; n <= len(heard); n++ {
				ours, theirs := tcpPair(t)
				done := run(func() error { return replay(theirs, all, peer, n) })
				complete, err := test.run(ours)
				await(t, "the peer", done)

				want, between := 0, false // complete sessions in the first n bytes
				frames := readAll(t, heard)
				at := 0
				for i, f := range frames {
					var next Frame
					if i+1 < len(frames) {
						next = frames[i+1]
					}
					at += HeaderLen + len(f.Payload)
					if at <= n && test.completes(f, next) {
						want++
					}
					between = between || at == n
				}
				// A server may have heard all and not be able to answer.
				if complete > want || test.role == Client && complete < want {
					t.Fatalf("of %d bytes the first %d: %d complete sessions, want %d", len(heard), n, complete, want)
				}
				switch whole := n == len(heard) && test.role == Client; {
				case whole && err != nil:
					t.Fatalf("the whole conversation gave %v", err)
				case !whole && err == nil:
					t.Fatalf("of %d bytes the first %d gave no error", len(heard), n)
				case !between && !errors.Is(err, io.ErrUnexpectedEOF):
					t.Fatalf("of %d bytes the first %d, cut within a frame, gave %v", len(heard), n, err)
				}
				ours.Close()
				theirs.Close()
			}
			checkGoroutines(t)
		})
	}
}

func TestNextSessionHasNothingOfTheLast(t *testing.T) {
	c, p := newPeer(t, Server)
	for range 3 {
		s := c.begin()
		p.send(data(Stdin, "some"), windowFrame(Stdout, 1000), stop(Stderr))
		p.settle()
		c.End()
		p.send(data(Stdin, "late"), windowFrame(Stdout, MaxWindow), eof(Stdin, 8), Frame{Type: TypeSignal, Payload: []byte("\x03INT")})
		p.send(Frame{Type: TypeList})
		if got := await(t, "a control frame", c.control); got.Type != TypeList {
			t.Errorf("got %v of an ended session", got.Type)
		}
		if n := s.Input.Received(); n != 4 {
			t.Errorf("%d bytes counted, want those of the session", n)
		}
		next := c.begin()
		if next.Output.credit != InitialWindow || next.Input.Received() != 0 {
			t.Error("the next session begins with something of the last")
		}
		c.End()
	}
}

func TestStaleReaderSendsNothingIntoTheNextSession(t *testing.T) {
	c, p := newPeer(t, Client)
	s := c.begin()
	for range InitialWindow / MaxPayload {
		p.send(data(Stdout, string(make([]byte, MaxPayload))))
	}
	p.send(eof(Stderr, 0))
	p.settle()
	c.End()
	c.begin()
	if _, err := s.Stdout.WriteTo(io.Discard); err != ErrClosed {
		t.Errorf("WriteTo gave %v, want ErrClosed", err)
	}
	s.Stdout.Stop()
	s.Stdin.Close()
	if got := p.settle(); len(got) > 0 {
		t.Errorf("the next session got %q", got)
	}
}

func TestBeginEndsTheSessionBefore(t *testing.T) {
	c, _ := newPeer(t, Client)
	s := c.begin()
	read := run(func() error { _, err := s.Stdout.WriteTo(io.Discard); return err })
	c.begin()
	if err := await(t, "the reader of the first session", read); err != ErrClosed {
		t.Errorf("it got %v, want ErrClosed", err)
	}
}
