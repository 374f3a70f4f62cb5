//go:build unix

package wire

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

const (
	// stoppedEnv names the socket of the other end to a test process that is
	// one end of a connection.
	stoppedEnv  = "RPIPE_TEST_STOPPED"
	stoppedDead = time.Second
)

// TestStoppedProcessFindsItsPeerAlive stops a process for longer than its dead
// time-out, in which its peer says nothing.
func TestStoppedProcessFindsItsPeerAlive(t *testing.T) {
	if address := os.Getenv(stoppedEnv); address != "" {
		beStopped(t, address)
		return
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	child := exec.Command(os.Args[0], "-test.run=^TestStoppedProcessFindsItsPeerAlive$")
	child.Env = append(os.Environ(), stoppedEnv+"="+ln.Addr().String())
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer child.Process.Kill()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	// The peer shows life until the process is stopped, and from soon after it
	// goes on.
	signal := func(sig syscall.Signal) {
		if err := child.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	frames := bufio.NewReader(conn)
	answered := func(n uint64) error {
		if err := WriteFrame(conn, numberFrame(TypePing, 0, n)); err != nil {
			return err
		}
		for {
			f, err := ReadFrame(frames)
			if err != nil {
				return fmt.Errorf("PING %d: %w", n, err)
			}
			if f.Type == TypePong && number(f.Payload) == n {
				return nil
			}
		}
	}
	if err := answered(1); err != nil {
		t.Fatal(err)
	}
	signal(syscall.SIGSTOP)
	time.Sleep(2 * stoppedDead) // what is tested is the passing of time
	signal(syscall.SIGCONT)
	time.Sleep(stoppedDead / 4)
	start := time.Now()
	for n := uint64(2); time.Since(start) < 2*stoppedDead; n++ {
		if err := answered(n); err != nil {
			t.Fatalf("%v after it went on: %v", time.Since(start), err)
		}
	}
}

// beStopped is an end that only answers.
func beStopped(t *testing.T, address string) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c := NewConn(conn, Options{Role: Client, IdleTimeout: time.Hour, DeadTimeout: stoppedDead})
	defer c.Close()
	c.Start(func(Frame) error { return nil })
	<-c.Done()
	if err := c.Err(); err != io.EOF {
		t.Errorf("the connection ended with %v", err)
	}
}
