//go:build linux

package cmd_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"rpipe/remote/wire"
)

// shortDead is the dead time-out that tests ask for, where the commands know the
// flag and the key; 0 is theirs.
var shortDead = sync.OnceValue(func() time.Duration {
	help, _ := exec.Command(filepath.Join(bin, "rpipe"), "--help").Output() // without help there is no flag
	if strings.Contains(string(help), "--dead-timeout") {
		return 3 * time.Second
	}
	return 0
})

func deadTimeout() time.Duration {
	if d := shortDead(); d != 0 {
		return d
	}
	return wire.DefaultDeadTimeout
}

// A topology is how produce and load are joined.
type topology struct {
	name          string
	script        string   // $1 and $2 run produce and load here
	hosts         []string // in the order of the pipeline
	produce, load string   // the host of each; "" is here
	hop           bool     // the first host may connect to the second
}

var (
	relayed     = &topology{name: "relay", script: "@a:produce | @b:load", hosts: []string{"a", "b"}, produce: "a", load: "b"}
	localSource = &topology{name: "local source", script: "$1 | @b:load", hosts: []string{"b"}, load: "b"}
	localSink   = &topology{name: "local sink", script: "@a:produce | $2", hosts: []string{"a"}, produce: "a"}
	directHop   = &topology{name: "direct hop", script: "@a:produce | @b:load", hosts: []string{"a", "b"}, produce: "a", load: "b", hop: true}
	fused       = &topology{name: "fused", script: "@a:produce | @a:load", hosts: []string{"a"}, produce: "a", load: "a"}
)

// topologies returns those that are tried.
func topologies() []*topology {
	return []*topology{relayed, directHop, fused, localSource, localSink}
}

// kind is what can break.
type kind int

const (
	client kind = iota
	daemonOf
	programOf
	connectionOf
)

type subject struct {
	kind kind
	name string // of the host, the program, or the host at the end of the connection; "a-b" is the hop
}

func (s subject) String() string {
	switch s.kind {
	case client:
		return "client"
	case daemonOf:
		return "daemon " + s.name
	case programOf:
		return s.name
	case connectionOf:
		if s.name == "a-b" {
			return "connection a-b"
		}
		return "connection client-" + s.name
	}
	return "?"
}

// subjects are what can break in a topology.
func (t *topology) subjects() []subject {
	all := []subject{{client, ""}}
	for _, name := range t.hosts {
		all = append(all, subject{daemonOf, name})
	}
	all = append(all, subject{programOf, "produce"}, subject{programOf, "load"})
	for _, name := range t.hosts {
		all = append(all, subject{connectionOf, name})
	}
	if t.hop {
		all = append(all, subject{connectionOf, "a-b"})
	}
	return all
}

// fault is how it breaks.
type fault string

const (
	kill9        fault = "kill -9"
	sigstop      fault = "SIGSTOP"
	rst          fault = "RST"
	finBoth      fault = "FIN both ways"
	finTowards   fault = "FIN to the host"
	finBackwards fault = "FIN to the caller"
	frozen       fault = "silence"
)

var cuts = map[fault]cut{rst: reset, finBoth: fin, finTowards: finToHost, finBackwards: finToUser, frozen: freeze}

func (k kind) faults() []fault {
	if k == connectionOf {
		return []fault{rst, finBoth, finTowards, finBackwards, frozen}
	}
	return []fault{kill9, sigstop}
}

// moment is when it breaks.
type moment int

const (
	atStart  moment = iota // all hosts have been called, one of them has not answered; nothing runs
	none                   // both programs run, and no byte was written
	tenth                  // so much was written, load has it, and all is quiet
	half                   // load has so much and reads no more; produce wants to write more, if not all
	most                   // as tenth
	complete               // every byte was written and has arrived; produce still runs
	atEnd                  // produce has ended, and load has read its end of input
)

var moments = []moment{atStart, none, tenth, half, most, complete, atEnd}

func (m moment) String() string {
	return []string{"START", "0 %", "10 %", "50 %", "90 %", "100 %", "END"}[m]
}

// bytes is where the moment is in the stream.
func (m moment) bytes() int64 {
	return int64([]int{0, 0, 10, 50, 90, 100, 100}[m]) * streamSize / 100
}

// hold is where produce waits: where the moment is, or, for half, behind what pipes
// and windows can hold and before the end.
func (m moment) hold() string {
	switch m {
	case half:
		return strconv.FormatInt(95*streamSize/100, 10)
	case atEnd:
		return "never"
	}
	return strconv.FormatInt(m.bytes(), 10)
}

// exact reports whether produce has written bytes and no more.
func (m moment) exact() bool { return m != half }

// cell is one fault of the matrix.
type cell struct {
	topology *topology
	subject  subject
	fault    fault
	moment   moment
}

func (c cell) String() string {
	return fmt.Sprintf("%s, %v, %s, %v", c.topology.name, c.subject, c.fault, c.moment)
}

func allCells() []cell {
	var all []cell
	for _, t := range topologies() {
		for _, s := range t.subjects() {
			for _, f := range s.kind.faults() {
				for _, m := range moments {
					all = append(all, cell{t, s, f, m})
				}
			}
		}
	}
	return all
}

// silent reports whether only a dead time-out can tell that something has broken.
func (c cell) silent() bool { return c.fault == sigstop || c.fault == frozen }

// sampled reports whether the cell is tried without -matrix.
func (c cell) sampled() bool {
	switch {
	case c.silent():
		return shortDead() != 0 && c.topology != localSink &&
			(c.moment == tenth && c.subject == subject{connectionOf, "a"} || c.moment == half && c.subject == subject{daemonOf, "b"})
	case c.moment == half:
		return c.topology != localSink && c.fault != finTowards && c.fault != finBackwards && (c.topology == relayed || c.fault != finBoth)
	case c.topology == localSink:
		return c.moment == most && (c.fault == rst || c.fault == finBoth)
	}
	return c.topology == relayed && c.fault != finTowards && c.fault != finBackwards &&
		(c.moment == atStart && c.subject == subject{daemonOf, "b"} ||
			c.moment == complete && c.subject == subject{connectionOf, "a"} ||
			c.moment == atEnd && c.subject.kind == daemonOf)
}

// bound is within which rpipe must have ended after the fault. It is generous: it
// tells an end from a hang.
func (c cell) bound() time.Duration {
	if c.silent() || c.moment == atStart {
		return deadTimeout() + 30*time.Second
	}
	return 20 * time.Second
}

// kills reports whether the cell kills a host's daemon.
func (c cell) kills(h *host) bool {
	return c.fault == kill9 && c.subject.kind == daemonOf && c.subject.name == h.name
}

// marker is what was committed.
type marker string

const (
	nothing    marker = "nothing committed"
	part       marker = "a part committed"
	everything marker = "all committed"
	otherBytes marker = "WRONG BYTES committed"
)

// result is what came of a cell.
type result struct {
	status int
	marker marker
	said   string // stderr of rpipe
	passed bool
}

// want is what must come of a cell.
type want struct {
	status []int    // any of them
	marker []marker // any of them
	lost   string   // a regular expression for the stage that rpipe must name as lost where the status is 76
	goesOn struct{ produce, load bool }
}

const (
	lostStatus   = 76
	deadStatus   = 69
	killedStatus = 137 // of a program or of rpipe, as a shell tells it
)

// want returns what must come of the cell; nil where it makes no sense.
func (c cell) want() *want {
	w := &want{marker: []marker{nothing}}
	if c.moment != atEnd {
		// So that an end of input, if load sees one, is taken for the end.
		w.goesOn.load = true
	}
	switch {
	case c.moment == atStart:
		return c.wantAtStart(w)
	case c.subject.kind == client && c.fault == kill9:
		w.status = []int{killedStatus}
	case c.subject.kind == client && c.moment == atEnd && c.topology.load == "":
		// Nothing of it is on a host any more.
		w.status, w.marker = []int{0}, []marker{everything}
		w.goesOn.load = true
	case c.subject.kind == client:
		// The hosts take rpipe for dead, and when it goes on it finds its stages lost.
		w.status, w.lost = []int{lostStatus}, c.anyStage()
	case c.subject.kind == programOf && c.subject.name == "produce" && c.moment == atEnd:
		return nil // it has ended
	case c.subject.kind == programOf && c.fault == sigstop:
		// Slow is not dead.
		w.status, w.marker = []int{0}, []marker{everything}
		w.goesOn.load = false // when it is over
	case c.subject.kind == programOf && c.subject.name == "produce":
		// As in a shell: the program has failed, it is not lost. Its reader
		// gets what it has written, and the end.
		w.status, w.marker = []int{killedStatus}, []marker{part}
		if c.moment == complete {
			w.marker = []marker{everything}
		}
	case c.subject.kind == programOf:
		w.status = []int{killedStatus}
		w.goesOn.produce = true // a writer without a reader lives until it writes
	case c.moment == atEnd && c.subject.name == "a-b":
		// The hop has done its work.
		w.status, w.marker = []int{0}, []marker{everything}
		w.goesOn.load = true
	case c.moment == atEnd && c.topology.hop && c.subject.name == c.topology.produce:
		// The hop carries the end of input before the client knows how
		// produce has ended, so that its session may be lost still.
		w.status, w.marker = []int{0, lostStatus}, []marker{nothing, everything}
		w.lost = c.anyStage()
		w.goesOn.load = true
	case c.moment == atEnd && c.subject.name != c.topology.load:
		// That session is over and told how: nothing of it can be lost.
		w.status, w.marker = []int{0}, []marker{everything}
		w.goesOn.load = true
	default:
		w.status, w.lost = []int{lostStatus}, c.lostStage()
		if c.subject.name != c.topology.produce {
			// What it writes, and its end, may still come through.
			w.goesOn.produce = true
			w.marker = []marker{nothing, everything}
		}
	}
	return w
}

// wantAtStart is want where nothing runs yet: rpipe may find that out before it
// starts anything (69), or when it has (76); and it may connect again. Whatever it
// does, it does not tell half a truth.
func (c cell) wantAtStart(w *want) *want {
	w.goesOn.produce = true
	switch {
	case c.subject.kind == programOf, c.subject.name == "a-b":
		return nil
	case c.subject.kind == client && c.fault == kill9:
		w.status = []int{killedStatus}
	case c.subject.kind == client, c.subject.kind == connectionOf:
		w.status = []int{0, deadStatus, lostStatus}
		w.marker = []marker{nothing, everything}
	default:
		w.status = []int{deadStatus, lostStatus}
	}
	return w
}

// lostStage matches the message about the stages that go with the subject.
func (c cell) lostStage() string {
	switch {
	case c.topology.hop || c.topology.produce == c.topology.load:
		return c.anyStage()
	case c.subject.name == c.topology.produce:
		return `(?m)^rpipe: stage 1 @a:produce: lost`
	}
	return `(?m)^rpipe: stage 2 @b:load: lost`
}

func (c cell) anyStage() string { return `(?m)^rpipe: stage [12] @[ab]:\w+: lost` }

// judge says what is wrong with a result, "" if nothing is.
func (w *want) judge(r *result, started bool) string {
	var wrong []string
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if !slices.Contains(w.status, r.status) {
		say("status %d, want one of %v", r.status, w.status)
	}
	if !slices.Contains(w.marker, r.marker) {
		say("%s, want one of %q", r.marker, w.marker)
	}
	if r.status == 0 && r.marker != everything {
		say("status 0, and %s", r.marker)
	}
	if r.status == deadStatus && started {
		say("status %d, which says that nothing ran, and a program has run", r.status)
	}
	if r.status == lostStatus && w.lost != "" && !regexp.MustCompile(w.lost).MatchString(r.said) {
		say("the lost stage is not named, want %s in %q", w.lost, r.said)
	}
	return strings.Join(wrong, "\n")
}
