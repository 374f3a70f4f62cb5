package keeper_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rpipe/pipeline/keeper"
)

// within is the time in which things happen that nothing tells of. It finds hangs.
const within = 30 * time.Second

// roleVariable makes this executable a process that holds the pipe between it and a
// local program, writes lines without an end, and says so. The value is how its
// program is started: "own group" or "shared group".
const roleVariable = "RPIPE_TEST_ROLE"

func TestMain(m *testing.M) {
	if keeper.Asked() {
		os.Exit(keeper.Main())
	}
	if role := os.Getenv(roleVariable); role != "" {
		fmt.Fprintln(os.Stderr, hold(role, os.Args[1:]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func hold(role string, words []string) error {
	k := keeper.New(os.Stdout)
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	k.Hold(w)
	k.Await()
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Stdin, cmd.Stdout = r, os.Stdout
	cmd.Env = append(os.Environ(), roleVariable+"=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: role == "own group", Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	r.Close()
	for {
		if _, err := io.WriteString(w, "line\n"); err != nil {
			return err
		}
	}
}

// loads are programs that write the file $1 when their input ends, and a line when
// they read it.
var loads = map[string]string{
	"a program":              `exec awk 'BEGIN { print "ready"; fflush() } END { print > f }' f="$1" -`,
	"behind another program": `cat | awk 'BEGIN { print "ready"; fflush() } END { print > f }' f="$1" -`,
	"behind a group":         `setsid cat | awk 'BEGIN { print "ready"; fflush() } END { print > f }' f="$1" -`,
	"another session":        `exec 3<&0; setsid awk 'BEGIN { print "ready"; fflush() } END { print > f }' f="$1" - <&3 3<&- & exec 3<&-; wait`,
	"two readers":            `exec 3<&0; awk 'BEGIN { print "ready"; fflush() } END { print > f }' f="$1" - <&3 3<&- & exec cat >/dev/null`,
}

func TestAKilledProcessIsNoEndOfInput(t *testing.T) {
	rounds := 5
	if testing.Short() {
		rounds = 1
	}
	for _, role := range []string{"own group", "shared group"} {
		for name, load := range loads {
			t.Run(role+", "+name, func(t *testing.T) {
				for range rounds {
					strike(t, role, load)
				}
			})
		}
	}
}

// strike kills a process while a load reads what it writes.
func strike(t *testing.T, role, load string) {
	t.Helper()
	committed := filepath.Join(t.TempDir(), "committed")
	cmd := exec.Command(os.Args[0], "sh", "-c", load, "sh", committed)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	out := bufio.NewReader(r)
	if line, err := out.ReadString('\n'); line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	// All that runs has this pipe, but for the keeper. This reader of it is spared.
	_ = r.SetReadDeadline(time.Now().Add(within))
	if rest, err := io.ReadAll(out); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v: left running: %q", rest, err, processes(committed))
	}
	if _, err := os.Stat(committed); err == nil {
		t.Errorf("a part of the input was taken for all of it")
	}
	gone(t, "") // the keeper, which is not this process's child
}

// processes returns those whose arguments hold a text.
func processes(text string) (found []string) {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		if b, err := os.ReadFile(file); err == nil && strings.Contains(string(b), text) {
			found = append(found, strings.ReplaceAll(string(b), "\x00", " "))
		}
	}
	return found
}

// gone waits until no keeper of this executable is left that has a file open.
func gone(t *testing.T, file string) {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(within); ; time.Sleep(time.Millisecond) {
		left := keepers(executable, file)
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("keepers are left that hold %q: %v", file, left)
		}
	}
}

func keepers(executable, file string) (found []int) {
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range entries {
		args, _ := os.ReadFile(folder + "/cmdline")
		exe, _ := os.Readlink(folder + "/exe")
		if exe != executable || !strings.HasPrefix(string(args), keeper.Name+"\x00") {
			continue
		}
		links, _ := filepath.Glob(folder + "/fd/*")
		holds := file == ""
		for _, l := range links {
			name, _ := os.Readlink(l)
			holds = holds || name == file
		}
		if pid, err := strconv.Atoi(filepath.Base(folder)); err == nil && holds {
			found = append(found, pid)
		}
	}
	return found
}

func pipe(t *testing.T) (r, w *os.File, name string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	var stat unix.Stat_t
	raw, err := w.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { _ = unix.Fstat(int(fd), &stat) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return r, w, fmt.Sprintf("pipe:[%d]", stat.Ino)
}

func ends(t *testing.T, r *os.File) {
	t.Helper()
	_ = r.SetReadDeadline(time.Now().Add(within))
	if n, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("%d, %v, want the end of input", n, err)
	}
}

func TestAPipeEndsWhenItIsReleasedAndClosed(t *testing.T) {
	k := keeper.New()
	defer k.Close()
	for i := range 1000 {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		release := k.Hold(w)
		if i%2 == 0 {
			w.Close()
		}
		release()
		release()
		w.Close()
		ends(t, r)
		r.Close()
	}
}

func TestAPipeThatIsHeldDoesNotEnd(t *testing.T) {
	k := keeper.New()
	defer k.Close()
	r, w, _ := pipe(t)
	other, otherEnd, _ := pipe(t)
	release := k.Hold(w)
	k.Await()
	w.Close()
	k.Hold(otherEnd)() // what comes later has been done, when this has
	otherEnd.Close()
	ends(t, other)
	poll := []unix.PollFd{{Fd: int32(r.Fd()), Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, 0); n != 0 || err != nil {
		t.Errorf("%d, %v, revents %#x: it has ended", n, err, poll[0].Revents)
	}
	release()
	ends(t, r)
}

func TestNothingIsLeftAfterClose(t *testing.T) {
	for name, use := range map[string]func(k *keeper.Keeper, w *os.File){
		"not used":          func(*keeper.Keeper, *os.File) {},
		"released":          func(k *keeper.Keeper, w *os.File) { k.Hold(w)() },
		"released when up":  func(k *keeper.Keeper, w *os.File) { release := k.Hold(w); k.Await(); release() },
		"a closed file":     func(k *keeper.Keeper, w *os.File) { w.Close(); k.Hold(w)() },
		"held without user": func(k *keeper.Keeper, w *os.File) { k.Hold(w); w.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			r, w, pipe := pipe(t)
			k := keeper.New()
			use(k, w)
			if name == "held without user" {
				r.Close() // nobody is to be killed
			}
			k.Close()
			k.Close()
			if left := keepers(os.Args[0], pipe); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			k.Hold(w)()
			k.Await()
		})
	}
}

func TestADeadKeeperHoldsNothing(t *testing.T) {
	k := keeper.New()
	defer k.Close()
	r, w, name := pipe(t)
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	release := k.Hold(w)
	var found []int
	for end := time.Now().Add(within); len(found) == 0 && time.Now().Before(end); {
		found = keepers(executable, name)
	}
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT} {
		for _, pid := range found {
			_ = syscall.Kill(pid, sig) // they do nothing
		}
	}
	k.Hold(w)()
	if len(keepers(executable, name)) != 1 {
		t.Fatalf("no keeper, there was %v", found)
	}
	for _, pid := range found {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	w.Close()
	ends(t, r)
	release()
	r2, w2, _ := pipe(t)
	k.Hold(w2)
	w2.Close()
	ends(t, r2)
}

func TestAKeeperHasNothingElseOpen(t *testing.T) {
	_, given, name := pipe(t)
	script := fmt.Sprintf("exec 3>&1; exec %q sh -c 'echo ready; cat >/dev/null'", os.Args[0])
	cmd := exec.Command("sh", "-c", script)
	cmd.Env = append(os.Environ(), roleVariable+"=own group")
	cmd.Stdout = given
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for end := time.Now().Add(within); len(found) == 0 && time.Now().Before(end); {
		found = keepers(executable, "/dev/null")
	}
	if len(found) != 1 {
		t.Errorf("keepers: %v", found)
	}
	gone(t, name)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	gone(t, "")
}

func TestANilKeeperDoesNothing(t *testing.T) {
	var k *keeper.Keeper
	k.Hold(nil)()
	k.Await()
	k.Close()
}
