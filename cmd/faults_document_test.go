//go:build linux

package cmd_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

const faultsPreface = `# What happens when something breaks

Written by ` + "`go test ./cmd -run TestFaults -matrix -timeout 1h`" + `; do not edit.

The pipeline is ` + "`produce | load`" + `: produce writes SIZE, load reads all of it and, only at a true end of input, commits it. One thing is
broken at one moment. Each cell shows the exit status of rpipe, then what load has committed: nothing (**-**), everything (**all**), or what its
writer had written when it was killed (**part**), which is what a shell does with a program that fails; and a letter for the first line
that rpipe says. In every cell rpipe ends in time, and afterwards no process, no descriptor and no folder of the session is left on any host.

| moment | |
|---|---|
| START | all hosts have been called, and one has not answered yet; nothing runs |
| 0 % | both programs run, nothing was written |
| 10 %, 90 % | so much has arrived, and all is quiet |
| 50 % | so much has arrived; load reads no more, and produce waits for room |
| 100 % | every byte has arrived; produce has not ended |
| END | produce has ended; load has read the end of its input and has not committed |

A stopped program is slow, not dead. A stopped rpipe is continued when the hosts have given it up. "Silence" is a network that carries
nothing any more and tells nobody. The dead time-out was DEAD here.
`

// faultsDocument makes docs/faults.md.
func faultsDocument(results map[cell]*result) []byte {
	var b bytes.Buffer
	b.WriteString(strings.NewReplacer(
		"SIZE", fmt.Sprintf("%d MiB", streamSize>>20),
		"DEAD", deadTimeout().String(),
	).Replace(faultsPreface))
	legend := &legend{letters: make(map[string]string)}
	for _, t := range topologies() {
		fmt.Fprintf(&b, "\n## %s: `%s`\n\n| broken | how |", strings.ToUpper(t.name[:1])+t.name[1:], t.shown())
		for _, m := range moments {
			fmt.Fprintf(&b, " %v |", m)
		}
		b.WriteString("\n|---|---|" + strings.Repeat("---|", len(moments)) + "\n")
		for _, s := range t.subjects() {
			for _, f := range s.kind.faults() {
				fmt.Fprintf(&b, "| %v | %s |", s, f)
				for _, m := range moments {
					fmt.Fprintf(&b, " %s |", legend.show(results[cell{t, s, f, m}]))
				}
				b.WriteString("\n")
			}
		}
	}
	b.WriteString("\n" + servicesSection())
	b.WriteString("\n## What rpipe says\n\n")
	for i, text := range legend.texts {
		fmt.Fprintf(&b, "- %s: `%s`\n", letter(i), text)
	}
	return b.Bytes()
}

// shown is the script with its parameters spelled out.
func (t *topology) shown() string {
	return strings.NewReplacer("$1", "produce", "$2", "load").Replace(t.script)
}

// legend gives letters to messages.
type legend struct {
	letters map[string]string
	texts   []string
}

func (l *legend) show(r *result) string {
	if r == nil {
		return ""
	}
	text := fmt.Sprintf("%d %s", r.status, shownMarkers[r.marker])
	if first, _, _ := strings.Cut(r.said, "\n"); first != "" {
		text += " " + l.letter(general(first))
	}
	if !r.passed {
		text += " **FAILED**"
	}
	return text
}

func (l *legend) letter(text string) string {
	if l.letters[text] == "" {
		l.letters[text] = letter(len(l.texts))
		l.texts = append(l.texts, text)
	}
	return l.letters[text]
}

func letter(i int) string {
	if i >= 26 {
		return letter(i/26-1) + letter(i%26)
	}
	return string(rune('a' + i))
}

var (
	anyPort  = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)
	anyCount = regexp.MustCompile(`[0-9]+ bytes`)
	anyTime  = regexp.MustCompile(`for [0-9.]+m?s`)
)

// general leaves out of a message what differs from run to run.
func general(s string) string {
	s = anyPort.ReplaceAllString(s, "HOST:PORT")
	s = anyCount.ReplaceAllString(s, "N bytes")
	return anyTime.ReplaceAllString(s, "for T")
}
