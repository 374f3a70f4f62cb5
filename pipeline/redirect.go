package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"mvdan.cc/sh/v3/interp"
)

// newFileMode is that of files which redirections make, before the mask: POSIX,
// redirecting output.
const newFileMode = 0o666

// A redirecting is one redirection under way.
type redirecting struct {
	redirection
	x   *execution
	ctx context.Context
	hc  interp.HandlerContext
	t   *descriptors // what the shell has afterwards
	s   streamsOf    // so; stderr is not used
	f   *frame       // what opened files belong to
}

// redirect does what the mark of a redirection says, and returns what becomes the stderr
// of the shell: descriptors. Other streams of the shell are changed as well. Closing the
// first one of a command is the end of the command.
func (x *execution) redirect(ctx context.Context, hc interp.HandlerContext, what redirection) (io.ReadWriteCloser, error) {
	r := &redirecting{redirection: what, x: x, ctx: ctx, hc: hc}
	runner := runnerOf(hc)
	before := streamsOf{hc.Stdin, hc.Stdout, hc.Stderr}
	r.s = before
	r.t = tableOf(hc.Stderr, nil)
	if r.t.frame == nil {
		r.t.frame = shellOf(ctx).ownFrame(&x.ownership)
	}
	switch r.op {
	case scopeShell, scopeKeep:
		r.asBefore(runner)
		return r.scope(), nil
	}
	outer := r.t.frame
	r.f = outer
	switch {
	case r.is(flagPersists):
		undo := len(outer.changes)
		r.t.closer = func() { // only where a later redirection of the "exec" failed
			for _, c := range outer.changes[min(undo, len(outer.changes)):] {
				if c.descriptor != nil {
					outer.drop(c.descriptor)
				}
			}
			outer.changes = outer.changes[:min(undo, len(outer.changes))]
		}
	case r.is(flagFirst):
		r.f = &frame{of: &x.ownership, outer: outer, runner: runner, before: before}
		r.f.simple.Store(r.is(flagSimple))
		r.t.frame, r.t.closer, r.t.before = r.f, r.f.end, &before
	}
	if err := r.do(); err != nil {
		if r.is(flagFirst) && r.f != outer {
			r.f.release()
		}
		return nil, r.failed(err)
	}
	streamsOf{r.s.stdin, r.s.stdout, r.t}.give(runner)
	return r.t, nil
}

// asBefore gives what stands in the words of a command the streams that the command had
// before its redirections: the words are expanded first.
func (r *redirecting) asBefore(runner *interp.Runner) {
	before := r.t.before
	if before == nil || !r.is(flagErrors) {
		return
	}
	frame := r.t.frame
	r.t = tableOf(before.stderr, frame)
	if r.is(flagInput) {
		r.s.stdin = before.stdin
	}
	if r.is(flagOutput) {
		r.s.stdout = before.stdout
	}
	streamsOf{r.s.stdin, r.s.stdout, r.t}.give(runner)
}

// scope begins one of the scopes.
func (r *redirecting) scope() *descriptors {
	t := r.t
	of := &r.x.ownership
	switch r.op {
	case scopeShell:
		f := &frame{of: of}
		t.frame, t.closer = f, f.release
	case scopeKeep:
		f := &frame{of: of}
		for i := range t.std {
			if d := t.std[i]; d != nil && r.s.get(t, i) != d {
				t.std[i] = nil
			}
		}
		for _, d := range t.all() {
			f.take(d)
		}
		t.frame, t.closer = f, f.release
	}
	return t
}

// failed returns the error of a redirection as the interpreter reports it, on the stderr
// of the shell.
func (r *redirecting) failed(err error) error { return redirectionError(r.hc, r.line, err) }

// redirectionError returns an error in the form of rpipe's messages, with the line where
// it is not 0, if it is an *os.PathError. Others, and nil, stay as they are.
func redirectionError(hc interp.HandlerContext, line int, err error) error {
	path, ok := err.(*os.PathError)
	if !ok {
		return err
	}
	place := "rpipe:"
	if line > 0 {
		place = fmt.Sprintf("rpipe: line %d:", line)
	}
	return &os.PathError{Op: place, Path: printable(strings.TrimPrefix(path.Path, hc.Dir+"/")), Err: errors.New(reason(path))}
}

var (
	errAmbiguous = errors.New("ambiguous redirect; put the word in quotes")
	errExists    = errors.New("cannot overwrite existing file; with >| it is overwritten")
	errNoNumber  = errors.New("the variable in braces holds no number of a descriptor; it must be a plain one, without a subscript")
)

func pathError(path string, err error) error {
	return &os.PathError{Op: "open", Path: path, Err: err}
}

// do does the redirection in r.s and r.t.
func (r *redirecting) do() error {
	target := 1
	switch r.op {
	case "<", "<>", "<&", "<<", "<<<":
		target = 0
	}
	if r.variable && r.number < 0 {
		return pathError(r.word, errNoNumber)
	}
	if r.number >= 0 {
		target = r.number
	}
	switch r.op {
	case scopeWords:
		return nil
	case "<<", "<<<":
		content := r.plain(r.hc)
		if r.op == "<<<" {
			content += "\n"
		}
		f, err := here(content)
		if err != nil {
			return pathError("here-document", err)
		}
		r.assign(target, &descriptor{stream: f, owned: true})
		return nil
	}
	word, ok := r.expanded(r.hc)
	if !ok {
		return pathError(visible(r.word), errAmbiguous)
	}
	switch r.op {
	case "<&", ">&":
		if word == "-" {
			r.assign(target, nil)
			return nil
		}
		digits, moves := strings.CutSuffix(word, "-")
		if source, err := strconv.Atoi(digits); err == nil && source >= 0 && isDigits(digits) {
			return r.duplicate(target, source, moves)
		}
		if r.op == "<&" || r.number >= 0 && r.number != 1 || r.variable || word == "" {
			return pathError(word, errAmbiguous)
		}
		r.op = "&>"
	}
	d, err := r.file(word)
	if err != nil {
		return err
	}
	r.assign(target, d)
	if r.op == "&>" || r.op == "&>>" {
		r.assign(2, d)
	}
	return nil
}

// visible returns a word without its signs.
func visible(word string) string {
	return strings.NewReplacer(signSplit, "", signGlob, "", signEnd, "").Replace(word)
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// duplicate makes target what source is, and closes that where it moves.
func (r *redirecting) duplicate(target, source int, moves bool) error {
	d := r.s.get(r.t, source)
	if d == nil {
		return pathError(strconv.Itoa(source), syscall.EBADF)
	}
	if target == 0 {
		if _, ok := d.stream.(*os.File); !ok {
			return pathError(strconv.Itoa(source), syscall.EBADF) // a buffer cannot be read
		}
	}
	if source == target {
		return nil
	}
	r.assign(target, d)
	if moves {
		r.assign(source, nil)
	}
	return nil
}

// assign gives a number its new meaning.
func (r *redirecting) assign(number int, d *descriptor) {
	if s := shellOf(r.ctx).stage; s != nil && d != nil && number != 0 {
		if f, ok := d.stream.(*os.File); ok && f != s.out && r.x.pipeOf(f) != (pipeID{}) && !isReader(f) {
			r.x.opens(s, f)
		}
	}
	if r.is(flagPersists) || r.variable {
		old := r.s.get(r.t, number)
		if d != nil {
			r.f.take(d)
		}
		r.s.assign(r.t, number, d)
		r.f.note(number, d)
		r.f.forget(old)
		return
	}
	r.f.own = append(r.f.own, number)
	if d != nil {
		r.f.take(d)
	}
	r.s.assign(r.t, number, d)
}

// file opens a file for the redirection.
func (r *redirecting) file(path string) (*descriptor, error) {
	if path == "" {
		return nil, pathError(path, syscall.ENOENT)
	}
	if number, ok := descriptorName(path); ok {
		d := r.s.get(r.t, number)
		if d == nil {
			return nil, pathError(path, syscall.ENOENT)
		}
		f, ok := d.stream.(*os.File)
		if !ok {
			return d, nil
		}
		again, err := reopen(f, r.mode())
		if err != nil {
			return nil, pathError(path, err)
		}
		return &descriptor{stream: again, owned: true}, nil
	}
	flag := r.mode()
	var f io.ReadWriteCloser
	var err error
	if (r.op == ">" || r.op == "&>") && r.x.shellOption(r.hc, "noclobber") {
		f, err = r.unclobbered(path, flag)
	} else {
		f, err = r.open(path, flag)
	}
	if err != nil {
		return nil, err
	}
	if file, ok := f.(*os.File); ok {
		return &descriptor{stream: file, owned: true}, nil
	}
	return &descriptor{stream: f}, nil
}

// mode returns the flags with which open(2) is called.
func (r *redirecting) mode() int {
	switch r.op {
	case ">", ">|", "&>":
		return os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	case ">>", "&>>":
		return os.O_WRONLY | os.O_CREATE | os.O_APPEND
	case "<>":
		return os.O_RDWR | os.O_CREATE
	}
	return os.O_RDONLY
}

// unclobbered opens a file that must not be a regular one that is there.
func (r *redirecting) unclobbered(path string, flag int) (io.ReadWriteCloser, error) {
	full := absolute(r.hc.Dir, path)
	info, err := os.Stat(full)
	switch {
	case err == nil && info.Mode().IsRegular():
		return nil, pathError(path, errExists)
	case err == nil:
		return r.open(path, flag)
	}
	f, err := r.open(path, flag|os.O_EXCL)
	if errors.Is(err, os.ErrExist) {
		return nil, pathError(path, errExists)
	}
	return f, err
}

// open opens a file with the mask of the shell.
func (r *redirecting) open(path string, flag int) (io.ReadWriteCloser, error) {
	if r.t.attrs.mask == nil || flag&os.O_CREATE == 0 {
		return r.x.openPath(r.ctx, r.hc, path, flag, newFileMode)
	}
	perm := newFileMode &^ *r.t.attrs.mask
	if *r.t.attrs.mask|processMask() == *r.t.attrs.mask {
		return r.x.openPath(r.ctx, r.hc, path, flag, perm)
	}
	// The mask of this process is stricter: who makes the file gives it the rest.
	f, err := r.x.openPath(r.ctx, r.hc, path, flag|os.O_EXCL, perm)
	if errors.Is(err, os.ErrExist) {
		return r.x.openPath(r.ctx, r.hc, path, flag&^os.O_EXCL, perm)
	}
	if file, ok := f.(*os.File); ok && err == nil {
		_ = file.Chmod(perm)
	}
	return f, err
}

// here returns a file from which content can be read: a pipe that holds it, or a file
// without a name.
func here(content string) (*os.File, error) {
	if len(content) <= pipeCapacity {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		defer w.Close()
		if _, err := io.WriteString(w, content); err != nil {
			r.Close()
			return nil, err
		}
		return r, nil
	}
	w, err := os.CreateTemp("", "rpipe-here-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(w.Name())
	defer w.Close()
	if _, err := io.WriteString(w, content); err != nil {
		return nil, err
	}
	return os.Open(w.Name())
}

// pipeCapacity is what every pipe takes without a reader: that of POSIX, _POSIX_PIPE_BUF,
// is smaller, but all kernels that this runs on have a page at least.
const pipeCapacity = 4096
