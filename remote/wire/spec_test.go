package wire

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rpipe/remote/wire/wiretest"
)

const specFile = "../../docs/protocol.md"

func specification(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(specFile))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// table returns the cells of the specification's table whose head begins with
// these columns.
func table(t *testing.T, head ...string) [][]string {
	t.Helper()
	var rows [][]string
	found := false
	for line := range strings.Lines(specification(t)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case !strings.HasPrefix(line, "|"):
			if found {
				return rows
			}
		case found && !strings.HasPrefix(line, "|---"):
			rows = append(rows, cells)
		case len(cells) >= len(head) && slices.Equal(cells[:len(head)], head):
			found = true
		}
	}
	t.Fatalf("%s has no table %q", specFile, head)
	return nil
}

func TestSpecificationHasTheFramesOfTheCode(t *testing.T) {
	from := map[roles]string{fromClient: "client", fromServer: "server", fromEither: "either"}
	stream := map[bool]string{false: "no", true: "yes"}
	var want [][]string
	for n, l := range layouts {
		if l.name == "" {
			continue
		}
		length := fmt.Sprint(l.min)
		if l.max > l.min {
			length = fmt.Sprintf("%d to %d", l.min, l.max)
		}
		want = append(want, []string{fmt.Sprintf("0x%02x", n), l.name, from[l.from], stream[l.stream], length})
	}
	got := table(t, "number", "frame", "from", "stream", "payload, bytes")
	for i := range got {
		got[i] = got[i][:5]
	}
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("specification:\n%q\ncode:\n%q", got, want)
	}
}

func TestSpecificationHasTheStreamsOfTheCode(t *testing.T) {
	var want [][]string
	for id := range Stream(streams) {
		from := "server"
		if NewConn(nil, Options{}).Begin().sender(id) != nil {
			from = "client"
		}
		want = append(want, []string{fmt.Sprint(uint8(id)), id.String(), from})
	}
	if got := table(t, "number", "stream", "from"); !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("specification:\n%q\ncode:\n%q", got, want)
	}
}

func TestSpecificationHasTheLimitsOfTheCode(t *testing.T) {
	want := [][]string{
		{"HeaderLen", fmt.Sprint(HeaderLen)},
		{"MaxPayload", fmt.Sprint(MaxPayload)},
		{"InitialWindow", fmt.Sprint(InitialWindow)},
		{"MaxWindow", fmt.Sprint(MaxWindow)},
		{"MaxMessage", fmt.Sprint(MaxMessage)},
		{"MaxPrograms", fmt.Sprint(MaxPrograms)},
		{"MaxArgs", fmt.Sprint(MaxArgs)},
		{"MaxListings", fmt.Sprint(MaxListings)},
		{"MaxText", fmt.Sprint(MaxText)},
		{"MaxPeerName", fmt.Sprint(MaxPeerName)},
		{"MaxPeerKey", fmt.Sprint(MaxPeerKey)},
		{"SecretLen", fmt.Sprint(SecretLen)},
		{"DigestLen", fmt.Sprint(DigestLen)},
		{"DefaultIdleTimeout", fmt.Sprintf("%g s", DefaultIdleTimeout.Seconds())},
		{"DefaultDeadTimeout", fmt.Sprintf("%g s", DefaultDeadTimeout.Seconds())},
	}
	got := table(t, "name", "value")
	for i := range got {
		got[i] = got[i][:2]
	}
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("specification:\n%q\ncode:\n%q", got, want)
	}
}

func TestSpecificationHasTheStatusesOfTheCode(t *testing.T) {
	names := map[Status]string{
		StatusBusy: "StatusBusy", StatusIdentity: "StatusIdentity",
		StatusDenied: "StatusDenied", StatusNotFound: "StatusNotFound",
	}
	var want [][]string
	for n := range 256 {
		if s := Status(n); s.valid() {
			want = append(want, []string{fmt.Sprint(n), names[s]})
		}
	}
	got := table(t, "status", "name")
	for i := range got {
		got[i] = got[i][:2]
	}
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("specification:\n%q\ncode:\n%q", got, want)
	}
}

func TestExamplesOfTheSpecificationAreTheVectors(t *testing.T) {
	vectors := map[string]string{}
	for _, v := range wiretest.Vectors(t, vectorsDir) {
		vectors[v.Name] = v.Text
	}
	fence := regexp.MustCompile("(?s)```text\n(name: ([^\n]*)\n.*?)```\n")
	spec := specification(t)
	examples := fence.FindAllStringSubmatch(spec, -1)
	if len(examples) == 0 || len(examples) != strings.Count(spec, "```text") {
		t.Fatalf("%d of the %d examples are vectors", len(examples), strings.Count(spec, "```text"))
	}
	for _, m := range examples {
		if text, ok := vectors[m[2]]; !ok || text != m[1] {
			t.Errorf("example %q is not the vector of that name", m[2])
		}
	}
	if *update {
		spec = fence.ReplaceAllStringFunc(spec, func(s string) string {
			return "```text\n" + vectors[fence.FindStringSubmatch(s)[2]] + "```\n"
		})
		if err := os.WriteFile(filepath.FromSlash(specFile), []byte(spec), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLinksOfTheSpecificationLeadSomewhere(t *testing.T) {
	links := regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(specification(t), -1)
	if len(links) == 0 {
		t.Error("no links")
	}
	for _, m := range links {
		if _, err := os.Stat(filepath.Join(filepath.Dir(filepath.FromSlash(specFile)), filepath.FromSlash(m[1]))); err != nil {
			t.Error(err)
		}
	}
}

// states returns the state table: what each role may send in a state, and the
// state after it.
func states(t *testing.T) map[string]map[Role]map[string]string {
	t.Helper()
	all := map[string]map[Role]map[string]string{}
	for _, row := range table(t, "state", "the client may send", "the server may send") {
		all[row[0]] = map[Role]map[string]string{}
		for role, cell := range map[Role]string{Client: row[1], Server: row[2]} {
			moves := map[string]string{}
			for move := range strings.SplitSeq(cell, ",") {
				if move = strings.TrimSpace(move); move == "" {
					continue
				}
				frame, to, arrow := strings.Cut(move, " → ")
				if !arrow {
					to = row[0]
				}
				moves[frame] = to
			}
			all[row[0]][role] = moves
		}
	}
	return all
}

func TestStateTableIsWhole(t *testing.T) {
	all := states(t)
	sent := map[Role]map[string]bool{Client: {}, Server: {}}
	reached := map[string]bool{"new": true}
	for state, by := range all {
		for role, moves := range by {
			for frame, to := range moves {
				sent[role][frame] = true
				reached[to] = true
				if _, ok := all[to]; !ok {
					t.Errorf("%s leads from %q to %q, which is no state", frame, state, to)
				}
			}
		}
	}
	for state := range all {
		if !reached[state] {
			t.Errorf("no frame leads to %q", state)
		}
	}
	for typ, l := range layouts {
		if l.name == "" || Type(typ) == TypePing || Type(typ) == TypePong {
			continue
		}
		for role, name := range names {
			if l.from.has(role) != sent[role][l.name] {
				t.Errorf("%s from the %s: in the code %v, in the state table %v", l.name, name, l.from.has(role), sent[role][l.name])
			}
		}
	}
}

func TestRecordedConversationFollowsTheStateTable(t *testing.T) {
	all := states(t)
	state := "new"
	missing := 0 // ENDs
	for i, s := range recorded(t) {
		f := readAll(t, s.bytes)[0]
		to, ok := all[state][s.by][f.Type.String()]
		if !ok {
			t.Fatalf("frame %d, %v from the %s, is not legal in %q", i+1, f.Type, names[s.by], state)
		}
		switch f.Type {
		case TypeOpen:
			o, err := DecodeOpen(f.Payload[1:])
			if err != nil {
				t.Fatal(err)
			}
			missing = len(o.Programs)
		case TypeEnd:
			if missing--; missing > 0 {
				continue
			}
		}
		state = to
	}
	if state != "idle" {
		t.Errorf("the conversation ends in %q", state)
	}
}
