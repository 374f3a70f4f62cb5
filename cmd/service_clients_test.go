//go:build unix

package cmd_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// endings are the rows of the table in docs/services.md: what becomes of a connection over which a
// client has sent all of its input, and that has answered with size bytes. Each returns where to
// connect to, and what happens when the client has written all of the answer; nil is nothing.
var endings = map[string]func(t *testing.T, size int) (address string, then func()){
	"status 0":                               served(`head -c $0 /dev/zero`),
	"status not 0, `on_failure = \"fin\"`":   served(`head -c $0 /dev/zero; exit 3`),
	"status not 0, `on_failure = \"reset\"`": served(`head -c $0 /dev/zero; exit 3`, "--on-failure", "reset"),
	"`kill -9` of the program":               served(`head -c $0 /dev/zero; kill -9 $$`),
	"`max.time` is over":                     served(`head -c $0 /dev/zero; exec sleep 1000`, "--max-time", "1s"),
	"`kill -9` of the daemon": func(t *testing.T, size int) (string, func()) {
		s := serveOne(t, "--", "sh", "-c", `head -c $0 /dev/zero; exec sleep 1000`, fmt.Sprint(size))
		return s.addresses[0], func() { _ = s.cmd.Process.Kill() }
	},
	"RST from elsewhere": func(t *testing.T, size int) (string, func()) {
		return answered(t, size, func(conn *net.TCPConn) { _ = conn.SetLinger(0) })
	},
	"FIN in the middle, of another server": func(t *testing.T, size int) (string, func()) {
		return answered(t, size, func(*net.TCPConn) {})
	},
}

// served runs a script as a service, with size as $0.
func served(script string, args ...string) func(*testing.T, int) (string, func()) {
	return func(t *testing.T, size int) (string, func()) {
		s := serveOne(t, append(args, "--", "sh", "-c", script, fmt.Sprint(size))...)
		return s.addresses[0], nil
	}
}

// answered is a server that is not rpiped: it answers and, when it is told to, closes.
func answered(t *testing.T, size int, prepare func(*net.TCPConn)) (string, func()) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closing := make(chan struct{})
	var serving sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		serving.Wait()
	})
	serving.Go(func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Write(make([]byte, size))
		_, _ = io.ReadFull(conn, make([]byte, len(asked)))
		<-closing
		prepare(conn.(*net.TCPConn))
	})
	return ln.Addr().String(), func() { close(closing) }
}

// rpipeClient is rpipe, as one of clients.
func rpipeClient() netClient {
	return netClient{filepath.Join(bin, "rpipe"), func(host, port string) []string {
		return []string{"cat | @" + net.JoinHostPort(host, port)}
	}}
}

// asked is what clients send.
const asked = "a question\n"

// seen is what a client makes of it.
type seen struct {
	bytes, status int
	said          bool // something on standard error
}

func (s seen) String() string {
	text := fmt.Sprintf("status %d", s.status)
	if s.said {
		text += ", says so"
	}
	return text
}

// look runs a client against an ending.
func look(t *testing.T, ending string, size int, name string, args func(host, port string) []string) seen {
	t.Helper()
	address, then := endings[ending](t, size)
	host, port, _ := net.SplitHostPort(address)
	cmd := exec.Command(name, args(host, port)...)
	cmd.Stdin = strings.NewReader(asked)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	if then != nil {
		if n, err = io.CopyN(io.Discard, out, int64(size)); err != nil {
			t.Errorf("%s, %s: %v after %d bytes", ending, name, err, n)
		}
		then()
	}
	rest, _ := io.Copy(io.Discard, out)
	err = cmd.Wait()
	s := seen{bytes: int(n + rest), said: stderr.Len() > 0}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		s.status = exit.ExitCode()
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			s.status = 128 + int(status.Signal())
		}
	} else if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTheTableOfWhatClientsSeeIsTrue tries every cell of the table in docs/services.md. A cell is the
// client's exit status, "says so" where it writes to standard error, and "may lack bytes" where it does not
// always write all that had come before.
func TestTheTableOfWhatClientsSeeIsTrue(t *testing.T) {
	const size = 300000
	doc, err := os.ReadFile("../docs/services.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(doc), "\n| what happens | nc |")
	if !found {
		t.Fatal("docs/services.md has no table of clients")
	}
	lines := strings.Split(rest, "\n")
	head := cells("| nc |" + lines[0])
	rows := 0
	for _, line := range lines[2:] {
		row := cells(line)
		if len(row) == 0 {
			break
		}
		if endings[row[0]] == nil || len(row) != len(head)+1 {
			t.Errorf("this row is not tried: %s", line)
			continue
		}
		rows++
		for i, name := range head {
			said := row[i+1]
			if said == "" {
				continue
			}
			for _, c := range append(clients, rpipeClient()) {
				if filepath.Base(c.tool) != name {
					continue
				}
				t.Run(row[0]+"/"+name, func(t *testing.T) {
					if _, err := exec.LookPath(c.tool); err != nil {
						missingTool(t, c.tool)
					}
					for range 2 {
						s := look(t, row[0], size, c.tool, c.args)
						claim, lacks := strings.CutSuffix(said, ", may lack bytes")
						if s.String() != claim || s.bytes > size || s.bytes < size && !lacks {
							t.Errorf("the table says %q; it is: %v, %d of %d bytes", said, s, s.bytes, size)
						}
					}
				})
			}
		}
	}
	if rows != len(endings) {
		t.Errorf("the table has %d of %d rows", rows, len(endings))
	}
}

// cells splits a line of a table.
func cells(line string) []string {
	line, found := strings.CutPrefix(strings.TrimSpace(line), "|")
	if !found {
		return nil
	}
	var all []string
	for cell := range strings.SplitSeq(strings.TrimSuffix(line, "|"), "|") {
		all = append(all, strings.TrimSpace(cell))
	}
	return all
}

func TestTheClientOfTheDocumentIsTheOneThatIsTried(t *testing.T) {
	script, err := os.ReadFile("testdata/script/serve_one_clients.txtar")
	if err != nil {
		t.Fatal(err)
	}
	_, client, _ := strings.Cut(string(script), "-- client.py --\n")
	client, _, found := strings.Cut(client, "-- want --")
	doc, err := os.ReadFile("../docs/services.md")
	if err != nil {
		t.Fatal(err)
	}
	if !found || !strings.Contains(string(doc), "```python\n"+client+"```") {
		t.Errorf("docs/services.md does not have this:\n%s", client)
	}
}
