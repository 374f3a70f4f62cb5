package pipeline

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"mvdan.cc/sh/v3/interp"
)

// errTimeout is the end of a wait for input whose time is over.
var errTimeout = errors.New("timed out")

// errBadDescriptor is that of a descriptor that is not open.
var errBadDescriptor = errors.New("bad file descriptor")

// inputOf returns a descriptor of the shell that can be read. It stays the shell's.
func inputOf(hc interp.HandlerContext, fd int) (*os.File, error) {
	if f := fileOf(hc, fd); f != nil {
		return f, nil
	}
	return nil, errBadDescriptor
}

// How much is read at once of an input that can take back what was too much: first, and
// then; and of one of which all is wanted.
const (
	smallSlice  = 128
	seekSlice   = 4096
	greedySlice = 1 << 16
)

// An input is what a builtin reads from: not one byte more than it needs. What can be
// sought is read in blocks, and given back; else bytes are read one at a time. It does
// not wait longer than the context lives.
type input struct {
	ctx      context.Context
	file     *os.File
	deadline time.Time // zero is none

	seekable bool
	greedy   bool // all is wanted, up to the end
	begun    bool // something was read
	ready    int  // bytes that can be read without waiting
	buf      []byte
	at       int // of buf, what was not read
	small    [smallSlice]byte
}

func newInput(ctx context.Context, f *os.File) *input {
	in := &input{ctx: ctx, file: f}
	_, err := f.Seek(0, io.SeekCurrent)
	in.seekable = err == nil
	return in
}

// readByte returns the next byte. The error is io.EOF, errTimeout, that of the context,
// or that of a read.
func (in *input) readByte() (byte, error) {
	if in.at == len(in.buf) {
		if err := in.fill(); err != nil {
			return 0, err
		}
	}
	c := in.buf[in.at]
	in.at++
	return c, nil
}

// fill reads at least one byte.
func (in *input) fill() error {
	in.at, in.buf = 0, in.buf[:0]
	room := in.small[:1]
	switch {
	case in.greedy:
		room = in.room(greedySlice)
	case in.seekable && !in.begun:
		room = in.small[:]
	case in.seekable:
		room = in.room(seekSlice)
	}
	in.begun = true
	if !in.seekable && in.ready == 0 {
		if err := awaitInputUntil(in.ctx, in.file, in.deadline); err != nil {
			return err
		}
		in.ready = max(available(in.file), 1)
	}
	n, err := in.file.Read(room)
	in.ready -= min(n, in.ready)
	if n > 0 {
		in.buf = room[:n]
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

func (in *input) room(size int) []byte {
	if cap(in.buf) < size {
		return make([]byte, size)
	}
	return in.buf[:size]
}

// giveBack makes the input begin again with what was not read of it.
func (in *input) giveBack() {
	if rest := len(in.buf) - in.at; rest > 0 && in.seekable {
		_, _ = in.file.Seek(-int64(rest), io.SeekCurrent)
	}
}

// lost returns the failure that a builtin has to end with when its input was cut off by
// the loss of a stage, or nil: its shell must not go on.
func (c *builtinCall) lost() error {
	if lost := c.x.readsCut(c.sh, c.hc); lost != nil {
		return c.end(exitWith(lost.status)...)
	}
	return nil
}

// over returns the failure that a builtin has to end with whose read has failed, or nil
// where that is the builtin's own affair.
func (c *builtinCall) over(ctx context.Context, err error) error {
	if err == nil || err == errTimeout {
		return nil
	}
	if ctx.Err() != nil {
		return c.end(exitWith(causeStatus(context.Cause(ctx)))...)
	}
	return c.lost()
}
