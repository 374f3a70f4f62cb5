package pipeline

import (
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"mvdan.cc/sh/v3/syntax"
)

// What a markTime says.
const (
	timeBegins     = "begins"
	timeEnds       = "ends"
	timeEndsPlain  = "ends -p"
	timeFormat     = "\nreal\t%s\nuser\t%s\nsys\t%s\n" // as bash prints them
	timeFormatFlag = "real %s\nuser %s\nsys %s\n"      // with -p: POSIX
)

// timed replaces every "time" in a tree: the interpreter's own writes to stdout,
// in between the data.
func timed(sc *script) {
	number := 0
	syntax.Walk(sc.file, func(n syntax.Node) bool {
		s, ok := n.(*syntax.Stmt)
		if !ok {
			return true
		}
		clause, ok := s.Cmd.(*syntax.TimeClause)
		if !ok {
			return true
		}
		number++
		id, end := strconv.Itoa(sc.id)+"."+strconv.Itoa(number), timeEnds
		if clause.PosixFormat {
			end = timeEndsPlain
		}
		stmts := []*syntax.Stmt{quietly(mark(s.Position, markTime, timeBegins, id))}
		if clause.Stmt != nil {
			stmts = append(stmts, clause.Stmt)
		}
		stmts = append(stmts, quietly(mark(s.Position, markTime, end, id)))
		sc.changed = true
		s.Cmd = &syntax.Block{Lbrace: s.Position, Rbrace: s.Position, Stmts: stmts}
		return true
	})
}

// A stopwatch measures the "time"s of a script by their numbers. Two runs of one
// of them at the same time spoil each other's figures.
type stopwatch struct {
	mu     sync.Mutex
	starts map[string]usage
}

// usage is the time that was used by this process and its children.
type usage struct {
	at           time.Time
	user, system time.Duration
}

func (w *stopwatch) begin(id string) {
	now := usageNow()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.starts == nil {
		w.starts = make(map[string]usage)
	}
	w.starts[id] = now
}

func (w *stopwatch) end(id, form string, out io.Writer) {
	now := usageNow()
	w.mu.Lock()
	start := w.starts[id]
	w.mu.Unlock()
	format, show := timeFormat, minutes
	if form == timeEndsPlain {
		format, show = timeFormatFlag, seconds
	}
	fmt.Fprintf(out, format, show(now.at.Sub(start.at)), show(now.user-start.user), show(now.system-start.system))
}

func minutes(d time.Duration) string {
	return fmt.Sprintf("%dm%.3fs", int(d.Minutes()), (d % time.Minute).Seconds())
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()) }
