package pipeline

import (
	"context"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"mvdan.cc/sh/v3/interp"
)

// descriptors are what a shell has besides the three streams that the interpreter knows:
// descriptors above 2, and what it hands on to programs and to the files that it makes.
// They are the writer that is the shell's stderr, behind which the true one is: so the
// interpreter copies them into every subshell, and restores them after each command
// that has redirections. They are not changed when they are made; a shell without any
// has its plain stderr.
type descriptors struct {
	stderr io.Writer
	std    [3]*descriptor // what redirections have made of 0, 1 and 2, where they still are that
	above  []numbered     // sorted by number
	attrs  attributes
	frame  *frame
	before *streamsOf // those before the redirections of the command, for its words; nil outside of any
	closer func()     // what Close does; nil for nothing
}

// attributes are what a shell hands on besides descriptors.
type attributes struct {
	mask   *os.FileMode // of files; nil is the one of this process
	limits limits       // nil are those of this process
}

// A numbered is a descriptor above 2.
type numbered struct {
	number int
	*descriptor
}

// A descriptor is an open file, or a buffer of the interpreter, that has one or more
// numbers in one or more shells.
type descriptor struct {
	stream  any // *os.File, or an io.Writer that is none
	owned   bool
	holders int // frames, of one that is owned: without any it is closed; under ownership.mu
}

// A frame is what descriptors belong to: a shell, a command with redirections for as
// long as it runs, or a command in the background.
type frame struct {
	of    *ownership
	outer *frame // that of the command around this one in the same shell; nil for a shell

	// simple says that it is of a command that may be a program: that alone uses what is
	// owned. A command in <( ) may look at it before it has a frame of its own.
	simple atomic.Bool

	// Of a command: what it began with, and will be restored.
	runner *interp.Runner
	before streamsOf
	own    []int // the numbers that it has redirected

	owned   []*descriptor // under ownership.mu
	changes []numbered    // that "exec" has made in it, to be made behind it too; nil is closed
	attrs   *attributes   // that were set in it
}

// streamsOf are the three streams of a shell.
type streamsOf struct {
	stdin  io.Reader // *os.File; nil if closed
	stdout io.Writer
	stderr io.Writer // may be descriptors
}

// An ownership guards who owns the descriptors of a script.
type ownership struct{ mu sync.Mutex }

func (t *descriptors) Read([]byte) (int, error)    { return 0, io.EOF }
func (t *descriptors) Write(p []byte) (int, error) { return t.stderr.Write(p) }
func (t *descriptors) Close() error {
	if t.closer != nil {
		t.closer()
	}
	return nil
}

// A closedStream is an output that is closed.
type closedStream struct{}

func (closedStream) Write([]byte) (int, error) { return 0, syscall.EBADF }

// handlerContext returns that of a handler. Its Stdout is no descriptors; its Stderr may
// be, see stderrOf.
func handlerContext(ctx context.Context) interp.HandlerContext {
	hc := interp.HandlerCtx(ctx)
	if t, ok := hc.Stdout.(*descriptors); ok {
		hc.Stdout = t.stderr
	}
	return hc
}

// descriptorsOf returns those of a handler's shell, also behind a veil, or nil.
func descriptorsOf(hc interp.HandlerContext) *descriptors {
	t, _ := veiled(hc).(*descriptors)
	return t
}

// stderrOf returns the stderr that a handler's command writes to, also behind a veil.
func stderrOf(hc interp.HandlerContext) io.Writer {
	w := veiled(hc)
	if t, ok := w.(*descriptors); ok {
		return t.stderr
	}
	return w
}

// attributesOf returns what a handler's shell hands on.
func attributesOf(hc interp.HandlerContext) attributes {
	if t := descriptorsOf(hc); t != nil {
		return t.attrs
	}
	return attributes{}
}

// streamOf returns what a handler's command has as a descriptor: an *os.File, or an
// io.Writer that is none. It returns nil where that is closed. It stays the shell's.
func streamOf(hc interp.HandlerContext, number int) any {
	var stream any
	switch number {
	case 0:
		if f, ok := hc.Stdin.(*os.File); ok && f != nil {
			stream = f
		}
	case 1:
		stream = hc.Stdout
	case 2:
		stream = stderrOf(hc)
	default:
		if t := descriptorsOf(hc); t != nil {
			if d := t.at(number); d != nil {
				stream = d.stream
			}
		}
	}
	if _, closed := stream.(closedStream); closed {
		return nil
	}
	return stream
}

// fileOf returns the file that is a descriptor of a handler's command; nil where it is
// closed, or no file, as the output of $( ). It stays the shell's.
func fileOf(hc interp.HandlerContext, number int) *os.File {
	f, _ := streamOf(hc, number).(*os.File)
	return f
}

// at returns a descriptor above 2, or nil.
func (t *descriptors) at(number int) *descriptor {
	if i, found := t.search(number); found {
		return t.above[i].descriptor
	}
	return nil
}

func (t *descriptors) search(number int) (int, bool) {
	return slices.BinarySearchFunc(t.above, number, func(n numbered, number int) int { return n.number - number })
}

// free returns the lowest number from 10 on that is not taken.
func (t *descriptors) free() int {
	number := 10
	for t.at(number) != nil {
		number++
	}
	return number
}

// with returns the descriptors with another stderr.
func (t *descriptors) with(stderr io.Writer) *descriptors {
	c := *t
	c.stderr, c.closer = stderr, nil
	return &c
}

// set gives a number above 2 another meaning; nil closes it. t has not been given to
// anybody yet.
func (t *descriptors) set(number int, d *descriptor) {
	i, found := t.search(number)
	above := slices.Clone(t.above)
	switch {
	case d == nil && found:
		above = slices.Delete(above, i, i+1)
	case d == nil:
	case found:
		above[i].descriptor = d
	default:
		above = slices.Insert(above, i, numbered{number, d})
	}
	t.above = above
}

// all returns everything that the descriptors name.
func (t *descriptors) all() []*descriptor {
	var all []*descriptor
	for _, d := range t.std {
		if d != nil {
			all = append(all, d)
		}
	}
	for _, n := range t.above {
		all = append(all, n.descriptor)
	}
	return all
}

// take makes a frame a holder of a descriptor.
func (f *frame) take(d *descriptor) {
	if !d.owned {
		return
	}
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	d.holders++
	f.owned = append(f.owned, d)
}

// drop undoes one take. It returns false where there was none.
func (f *frame) drop(d *descriptor) bool {
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	i := slices.Index(f.owned, d)
	if i < 0 {
		return false
	}
	f.owned = slices.Delete(f.owned, i, i+1)
	d.leave()
	return true
}

// leave is the end of one holder. The caller holds ownership.mu.
func (d *descriptor) leave() {
	if d.holders--; d.holders == 0 {
		if f, ok := d.stream.(*os.File); ok {
			f.Close()
		}
	}
}

// release undoes all takes.
func (f *frame) release() {
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	for _, d := range f.owned {
		d.leave()
	}
	f.owned = nil
}

// forget is for a number of this shell that is closed or gets another meaning for good:
// the shell, or a command in it, holds d no longer.
func (f *frame) forget(d *descriptor) {
	for ; f != nil && d != nil; f = f.outer {
		if f.drop(d) {
			return
		}
	}
}

// end is the end of a command with redirections. What "exec" has made of other numbers
// in it stays, and so do attributes; the interpreter has restored everything.
func (f *frame) end() {
	var stay []numbered
	for _, c := range f.changes {
		if !slices.Contains(f.own, c.number) {
			stay = append(stay, c)
		}
	}
	if len(stay) > 0 || f.attrs != nil {
		s := f.before
		t := tableOf(s.stderr, f.outer)
		for _, c := range stay {
			if c.descriptor != nil {
				f.outer.take(c.descriptor)
			}
			s.assign(t, c.number, c.descriptor)
			f.outer.note(c.number, c.descriptor)
		}
		if f.attrs != nil {
			t.attrs = *f.attrs
			f.outer.noteAttributes(t.attrs)
		}
		s.stderr = t
		s.give(f.runner)
	}
	f.release()
}

// note says what a number of the shell is from now on, for the commands around.
func (f *frame) note(number int, d *descriptor) {
	if f.outer != nil {
		f.changes = append(f.changes, numbered{number, d})
	}
}

// noteAttributes is note for attributes.
func (f *frame) noteAttributes(a attributes) {
	if f.outer != nil {
		f.attrs = &a
	}
}

// tableOf returns descriptors that may be changed, made from a shell's stderr.
func tableOf(stderr io.Writer, f *frame) *descriptors {
	if t, ok := stderr.(*descriptors); ok {
		c := *t
		c.closer = nil
		return &c
	}
	return &descriptors{stderr: stderr, frame: f}
}

// give makes them the streams of a shell.
func (s streamsOf) give(r *interp.Runner) {
	_ = interp.StdIO(s.stdin, s.stdout, s.stderr)(r) // it does not fail for files
}

// assign gives a number another meaning in s and t, which become the streams and the
// descriptors of one shell; nil closes it.
func (s *streamsOf) assign(t *descriptors, number int, d *descriptor) {
	if number > 2 {
		t.set(number, d)
		return
	}
	t.std[number] = d
	var w io.Writer = closedStream{}
	if d != nil {
		if out, ok := d.stream.(io.Writer); ok {
			w = out
		}
	}
	switch number {
	case 0:
		s.stdin = nil
		if d != nil {
			if f, ok := d.stream.(*os.File); ok {
				s.stdin = f
			}
		}
	case 1:
		s.stdout = w
	case 2:
		t.stderr = w
	}
}

// get returns what a number means in s and t, or nil where it is closed.
func (s *streamsOf) get(t *descriptors, number int) *descriptor {
	var stream any
	switch number {
	case 0:
		if f, ok := s.stdin.(*os.File); ok && f != nil {
			stream = f
		}
	case 1:
		stream = s.stdout
	case 2:
		stream = t.stderr
	default:
		return t.at(number)
	}
	if _, closed := stream.(closedStream); closed || stream == nil {
		return nil
	}
	if d := t.std[number]; d != nil && same(d.stream, stream) {
		return d
	}
	return &descriptor{stream: stream}
}

// ownFrame returns the frame of a shell, which is released when that is over.
func (sh *shell) ownFrame(of *ownership) *frame {
	sh.framing.Do(func() { sh.frame = &frame{of: of} })
	return sh.frame
}

// inherits returns what the stderr of another shell is in this one.
func (sh *shell) inherits(of *ownership, stderr io.Writer) io.Writer {
	t, ok := stderr.(*descriptors)
	if !ok {
		return stderr
	}
	c := t.with(t.stderr)
	c.frame = sh.ownFrame(of)
	return c
}

// holds is inherits for a shell whose command goes on while the other shell does, which
// may close what it has meanwhile. simple tells that the command may be a program.
func (sh *shell) holds(of *ownership, stderr io.Writer, simple bool) io.Writer {
	w := sh.inherits(of, stderr)
	if t, ok := w.(*descriptors); ok {
		for _, d := range t.all() {
			t.frame.take(d)
		}
		t.frame.simple.Store(simple)
	}
	return w
}

// closeDescriptors is the end of a shell: what it has opened, and no command in the
// background holds, is closed.
func (sh *shell) closeDescriptors() {
	sh.framing.Do(func() {})
	if sh.frame != nil {
		sh.frame.release()
	}
}

// started closes what only a program uses that has been started now: it has copies. What
// reads a pipe of them comes to its end with the program.
func (t *descriptors) started() {
	if t == nil {
		return
	}
	for f := t.frame; f != nil && f.simple.Load(); f = f.outer {
		f.release()
	}
}

// isNoProgram says that the command which is about to run is no program.
func (t *descriptors) isNoProgram() {
	for f := t.frame; f != nil && f.simple.Load(); f = f.outer {
		f.simple.Store(false)
	}
}

// inherited returns the files of a program above 2, from 3 on: nil ones are closed.
func (o *outputs) inherited(x *execution, t *descriptors) ([]*os.File, error) {
	if t == nil || len(t.above) == 0 {
		return nil, nil
	}
	files := make([]*os.File, t.above[len(t.above)-1].number-2)
	for _, n := range t.above {
		f, ok := n.stream.(*os.File)
		if !ok {
			w, err := o.file(x, n.stream.(io.Writer))
			if err != nil {
				return nil, err
			}
			f, _ = w.(*os.File)
		}
		files[n.number-3] = f
	}
	return files, nil
}
