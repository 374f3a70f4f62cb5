package pipeline

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"

	"rpipe/parser/tree"
)

// What a markTime says.
const (
	timeBegins     = "begins"
	timeEnds       = "ends"
	timeEndsPlain  = "ends -p"
	timeFormat     = "\nreal\t%3lR\nuser\t%3lU\nsys\t%3lS" // bash's own
	timeFormatFlag = "real %2R\nuser %2U\nsys %2S"         // with -p: POSIX
)

// timed replaces every "time" in a tree: the interpreter's own writes to stdout,
// in between the data.
func timed(sc *script) {
	number := 0
	tree.Walk(sc.file, func(n syntax.Node) bool {
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
	elapsed      time.Duration // of a command that was measured
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

// end returns what was used since begin.
func (w *stopwatch) end(id string) usage {
	now := usageNow()
	w.mu.Lock()
	defer w.mu.Unlock()
	start := w.starts[id]
	return usage{at: now.at, user: now.user - start.user, system: now.system - start.system}.since(start.at)
}

// since returns the usage with the time that it took in place of when it ended.
func (u usage) since(start time.Time) usage {
	u.elapsed = u.at.Sub(start)
	return u
}

// tell prints what "time" has measured, in the form of TIMEFORMAT (bash's manual) where
// that is set and form is not that of "time -p".
func (u usage) tell(out io.Writer, env expand.Environ, form string) {
	format := timeFormat
	if form == timeEndsPlain {
		format = timeFormatFlag
	} else if v := env.Get("TIMEFORMAT"); v.IsSet() {
		if format = v.String(); format == "" {
			return
		}
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		precision, long := 3, false
		if c := format[i]; '0' <= c && c <= '9' && i+1 < len(format) {
			precision = min(int(c-'0'), 3)
			i++
		}
		if format[i] == 'l' && i+1 < len(format) {
			long = true
			i++
		}
		switch c := format[i]; c {
		case '%':
			b.WriteByte('%')
		case 'R':
			b.WriteString(seconds(u.elapsed, precision, long))
		case 'U':
			b.WriteString(seconds(u.user, precision, long))
		case 'S':
			b.WriteString(seconds(u.system, precision, long))
		case 'P':
			percent := int64(0)
			if u.elapsed > 0 {
				percent = int64((u.user + u.system) * 10000 / u.elapsed)
			}
			fmt.Fprintf(&b, "%d.%02d", percent/100, percent%100)
		default:
			fmt.Fprintf(out, "rpipe: TIMEFORMAT: `%c': invalid format character\n", c)
			return
		}
	}
	b.WriteByte('\n')
	_, _ = io.WriteString(out, b.String())
}

// minutes returns a time as "time" shows it.
func minutes(d time.Duration) string { return seconds(d, 3, true) }

// seconds returns a time with so many decimals, cut off; long is with minutes.
func seconds(d time.Duration, precision int, long bool) string {
	d = max(d, 0)
	prefix, suffix := "", ""
	if long {
		prefix, suffix = strconv.Itoa(int(d/time.Minute))+"m", "s"
		d %= time.Minute
	}
	text := strconv.Itoa(int(d / time.Second))
	if precision > 0 {
		text += fmt.Sprintf(".%03d", d%time.Second/time.Millisecond)[:1+precision]
	}
	return prefix + text + suffix
}
