package pipeline

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser"
)

// runInput runs the script that is read from a file, command by command. Its end is
// that of the shell.
func (x *execution) runInput(ctx context.Context, sh *shell, in *os.File, name string) error {
	r := &commandReader{ctx: ctx, in: in}
	if _, err := in.Seek(0, io.SeekCurrent); err == nil {
		r.block = make([]byte, 4096)
	}
	var last error
	for ctx.Err() == nil {
		above := r.lines
		text, err := r.next()
		if len(text) == 0 || err != nil {
			if err != nil {
				last = err
			}
			break
		}
		prog, err := parser.ParseBelow(name, text, above)
		if err != nil {
			last = err
			break
		}
		if len(prog.File.Stmts) == 0 {
			continue
		}
		sc, err := x.plan.include(prog)
		if err != nil {
			return err
		}
		pos := sc.file.Stmts[0].Position
		last = runGuarded(ctx, sh, &syntax.Stmt{Position: pos, Cmd: &syntax.Block{
			Lbrace: pos, Rbrace: pos, Stmts: append([]*syntax.Stmt{quietly(mark(pos, markName))}, sc.file.Stmts...),
		}})
		var bug *bugError
		if errors.As(last, &bug) {
			return last
		}
		if sh.runner.Exited() {
			break
		}
		x.plan.drop(sc)
	}
	return x.endShell(ctx, sh, &syntax.File{Name: x.plan.main.file.Name}, last)
}

// errScriptTooLong is a script of which more was read than has positions.
var errScriptTooLong = errors.New("the script is too long")

// include prepares a part of the script that has just been read, to run as it is.
func (p *plan) include(prog *parser.Program) (*script, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	shift := max(p.texts.end, p.main.end)
	if shift+uint(len(prog.Source)) >= maxOffset {
		return nil, errScriptTooLong
	}
	sc := p.newScript(p.texts.latest+1, prog, p.main.file.Name, shift)
	p.texts.latest++
	p.texts.end = sc.end
	p.texts.sorted = append(p.texts.sorted, sc)
	return sc, nil
}

// drop forgets a part of the script that has run, unless what is in it may run again.
func (p *plan) drop(sc *script) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i, found := p.texts.find(sc); found && !sc.lasting {
		p.texts.sorted = slices.Delete(p.texts.sorted, i, i+1)
	}
}

// A commandReader reads a script so that after each command what follows it has not
// been read.
type commandReader struct {
	ctx   context.Context
	in    *os.File
	block []byte // for what is read ahead of a file that can be given back; else nil
	lines int    // that were read

	text, rest []byte // of the command; of the line that the parser has not got yet
	err        error
}

// next returns the lines of the next command, which may be an empty one, or nil at the
// end of the script.
func (r *commandReader) next() ([]byte, error) {
	r.text, r.rest, r.err = nil, nil, nil
	p := syntax.NewParser(syntax.Variant(syntax.LangBash))
	for _, err := range p.InteractiveSeq(r) {
		if err != nil || !p.Incomplete() && !r.goesOn() {
			break
		}
	}
	if r.err == io.EOF {
		r.err = nil
	}
	return r.text, r.err
}

// goesOn reports whether the text so far is surely not a command: a list that
// ends with an operator.
func (r *commandReader) goesOn() bool {
	_, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(bytes.NewReader(r.text), "")
	return err != nil && syntax.IsIncomplete(err)
}

// Read implements io.Reader for the parser: it gives one line at a time.
func (r *commandReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.err == nil {
			r.rest, r.err = r.line()
		}
		if len(r.rest) == 0 {
			return 0, r.err
		}
		r.text = append(r.text, r.rest...)
		r.lines++
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// line reads a line with its newline. What it has read when it fails is part of the
// script.
func (r *commandReader) line() (line []byte, err error) {
	if len(r.text) > maxSourced {
		return nil, errScriptTooLong
	}
	if r.block != nil {
		return r.lineOfFile()
	}
	var c [1]byte
	for {
		if err := awaitInputUntil(r.ctx, r.in, time.Time{}); err != nil {
			return nil, context.Cause(r.ctx)
		}
		n, err := r.in.Read(c[:])
		line = append(line, c[:n]...)
		if err != nil || n > 0 && c[0] == '\n' {
			return line, err
		}
	}
}

// lineOfFile is line for a file with an offset, which children share: it is behind
// the line then.
func (r *commandReader) lineOfFile() (line []byte, err error) {
	at, err := r.in.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	for {
		n, err := r.in.ReadAt(r.block, at+int64(len(line)))
		if i := bytes.IndexByte(r.block[:n], '\n'); i >= 0 {
			n, err = i+1, nil
		} else if err == nil {
			line = append(line, r.block[:n]...)
			continue
		}
		line = append(line, r.block[:n]...)
		if _, failed := r.in.Seek(at+int64(len(line)), io.SeekStart); failed != nil {
			return nil, failed
		}
		return line, err
	}
}
