//go:build unix

package identity_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rpipe/remote/identity"
)

// files is a folder with one of each file that this package reads.
type files struct{ folder, key, known, authorized string }

func newFiles(tb testing.TB) files {
	tb.Helper()
	folder := filepath.Join(tb.TempDir(), "it's rpipe")
	f := files{folder, filepath.Join(folder, "identity"), filepath.Join(folder, "known_hosts"), filepath.Join(folder, "authorized_keys")}
	key := generate(tb)
	if err := key.WriteFile(f.key, "alice"); err != nil {
		tb.Fatal(err)
	}
	writeFile(tb, f.known, "[h]:7747 "+publicLine(key))
	writeFile(tb, f.authorized, strings.TrimSpace(publicLine(key))+" alice\n")
	return f
}

// load reads one of the files.
func (f files) load(path string) error {
	var err error
	switch path {
	case f.key:
		_, err = identity.LoadKey(path, nil)
	case f.known:
		_, err = identity.LoadKnownHosts(path)
	case f.authorized:
		_, err = identity.LoadAuthorizedKeys(path)
	}
	return err
}

func (f files) all() []string { return []string{f.key, f.known, f.authorized} }

func chmod(tb testing.TB, path string, mode os.FileMode) {
	tb.Helper()
	if err := os.Chmod(path, mode); err != nil {
		tb.Fatal(err)
	}
}

func TestWhatOthersCanReadOrReplaceIsRefusedAndTheHintMendsIt(t *testing.T) {
	type change struct {
		target func(files) string
		mode   os.FileMode
		safe   func(f files, path string) bool
	}
	never := func(files, string) bool { return false }
	onlyKey := func(f files, path string) bool { return path != f.key }
	folder := func(f files) string { return f.folder }
	above := func(f files) string { return filepath.Dir(f.folder) }
	for name, c := range map[string]change{
		"file writable by group":           {nil, 0o620, never},
		"file writable by others":          {nil, 0o602, never},
		"file readable by group":           {nil, 0o640, onlyKey},
		"file readable by others":          {nil, 0o604, onlyKey},
		"file runnable by others":          {nil, 0o601, onlyKey},
		"folder writable by group":         {folder, 0o770, never},
		"folder writable by others":        {folder, 0o707, never},
		"folder readable by others":        {folder, 0o755, func(files, string) bool { return true }},
		"folder sticky":                    {folder, 0o777 | os.ModeSticky, func(files, string) bool { return true }},
		"folder above writable by others":  {above, 0o777, never},
		"folder above, sticky, is no harm": {above, 0o777 | os.ModeSticky, func(files, string) bool { return true }},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFiles(t)
			for _, path := range f.all() {
				if err := f.load(path); err != nil {
					t.Fatalf("at first: %v", err)
				}
				target := path
				if c.target != nil {
					target = c.target(f)
				}
				chmod(t, target, c.mode)
				err := f.load(path)
				if c.safe(f, path) {
					if err != nil {
						t.Errorf("%s: %v", path, err)
					}
					chmod(t, target, 0o700)
					continue
				}
				var unsafe *identity.PermissionError
				if !errors.As(err, &unsafe) {
					t.Fatalf("%s: got %v, want *PermissionError", path, err)
				}
				if unsafe.Path != target {
					t.Errorf("blames %q, want %q", unsafe.Path, target)
				}
				checkMessages(t, unsafe, "chmod ")
				if out, err := exec.Command("sh", "-c", unsafe.Command).CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", unsafe.Command, err, out)
				}
				if err := f.load(path); err != nil {
					t.Errorf("after %s: %v", unsafe.Command, err)
				}
			}
		})
	}
}

func TestFilesAndFoldersOfAnotherUserAreRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("RPIPE_TEST_ALL") == "1" {
			t.Fatal("only root can give files away")
		}
		t.Skip("only root can give files away")
	}
	const stranger = 54321
	f := newFiles(t)
	link := filepath.Join(f.folder, "link")
	if err := os.Symlink(f.key, link); err != nil {
		t.Fatal(err)
	}
	for _, target := range append(f.all(), f.folder, filepath.Dir(f.folder)) {
		if err := os.Chown(target, stranger, stranger); err != nil {
			t.Fatal(err)
		}
		for _, path := range f.all() {
			err := f.load(path)
			if strings.HasPrefix(path, target) != (err != nil) {
				t.Errorf("%s given away: %s: %v", target, path, err)
			}
			var unsafe *identity.PermissionError
			if err != nil && !errors.As(err, &unsafe) {
				t.Errorf("got %v, want *PermissionError", err)
			}
		}
		if err := os.Chown(target, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := identity.LoadKey(link, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(link, stranger, stranger); err != nil {
		t.Fatal(err)
	}
	var unsafe *identity.PermissionError
	if _, err := identity.LoadKey(link, nil); !errors.As(err, &unsafe) || unsafe.Path != link {
		t.Errorf("link of another: %v", err)
	}
}

func TestLinksAreFollowedAndTheirFoldersChecked(t *testing.T) {
	f := newFiles(t)
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Mkdir(elsewhere, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, link := range map[string]string{"file": f.key, "folder": f.folder, "loop": "loop"} {
		if err := os.Symlink(link, filepath.Join(elsewhere, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{
		filepath.Join(elsewhere, "file"),
		filepath.Join(elsewhere, "folder", "identity"),
		elsewhere + "/folder/../" + filepath.Base(f.folder) + "/identity", // ".." of the link's target
		elsewhere + "//./file",
	} {
		chmod(t, elsewhere, 0o700)
		if _, err := identity.LoadKey(path, nil); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		var unsafe *identity.PermissionError
		chmod(t, elsewhere, 0o777)
		if _, err := identity.LoadKey(path, nil); !errors.As(err, &unsafe) || unsafe.Path != elsewhere {
			t.Errorf("%s through a folder of everybody: %v", path, err)
		}
	}
	chmod(t, elsewhere, 0o700)
	if _, err := identity.LoadKey(filepath.Join(elsewhere, "loop"), nil); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("loop: %v", err)
	}
	chmod(t, f.folder, 0o777)
	if _, err := identity.LoadKey(filepath.Join(elsewhere, "file"), nil); err == nil {
		t.Error("the folder of the link's target was not checked")
	}
}

func TestRelativePathsAreCheckedFromTheRootToo(t *testing.T) {
	f := newFiles(t)
	t.Chdir(f.folder)
	if _, err := identity.LoadKey("identity", nil); err != nil {
		t.Fatal(err)
	}
	chmod(t, filepath.Dir(f.folder), 0o777)
	var unsafe *identity.PermissionError
	if _, err := identity.LoadKey("identity", nil); !errors.As(err, &unsafe) {
		t.Errorf("got %v, want *PermissionError", err)
	}
}

func TestAFIFOIsNotWaitedFor(t *testing.T) {
	f := newFiles(t)
	for _, path := range f.all() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := f.load(path); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("got %v", err)
		}
	}
}

func TestNothingIsWrittenIntoAFolderOfEverybody(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	chmod(t, folder, 0o777)
	var unsafe *identity.PermissionError
	if err := generate(t).WriteFile(filepath.Join(folder, "identity"), ""); !errors.As(err, &unsafe) || unsafe.Path != folder {
		t.Errorf("key: %v", err)
	}
	chmod(t, folder, 0o700)
	hosts, err := identity.LoadKnownHosts(filepath.Join(folder, "known_hosts"))
	if err != nil {
		t.Fatal(err)
	}
	chmod(t, folder, 0o777)
	if err := hosts.Add("h:7747", generate(t).PublicKey()); !errors.As(err, &unsafe) || unsafe.Path != folder {
		t.Errorf("known hosts: %v", err)
	}
	checkNoOthers(t, folder)
}

func TestAddKeepsTheModeAndTheLinkOfTheFile(t *testing.T) {
	f := newFiles(t)
	chmod(t, f.known, 0o644)
	link := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.Symlink(f.known, link); err != nil {
		t.Fatal(err)
	}
	hosts, err := identity.LoadKnownHosts(link)
	if err != nil {
		t.Fatal(err)
	}
	key := generate(t).PublicKey()
	if err := hosts.Add("new:7747", key); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(f.known)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o644 {
		t.Errorf("mode %o", info.Mode().Perm())
	}
	if target, err := os.Readlink(link); err != nil || target != f.known {
		t.Errorf("the link: %q, %v", target, err)
	}
	again, err := identity.LoadKnownHosts(f.known)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Check("new:7747", key); err != nil {
		t.Error(err)
	}
}
