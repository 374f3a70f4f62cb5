//go:build unix

package serve

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWhatAKilledDaemonLeftIsRemovedAndWhatALivingOneHasIsNot(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	living, err := newSessionFolders()
	if err != nil {
		t.Fatal(err)
	}
	session, err := living.new()
	if err != nil {
		t.Fatal(err)
	}
	dead := filepath.Join(os.TempDir(), folderPrefix+"dead")
	if err := os.MkdirAll(filepath.Join(dead, "session-1"), 0o700); err != nil {
		t.Fatal(err)
	}
	next, err := newSessionFolders()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dead); err == nil {
		t.Error("the folder of a daemon that lives no more is still there")
	}
	if _, err := os.Stat(session); err != nil {
		t.Errorf("the folder of a living daemon's session: %v", err)
	}
	for _, f := range []*sessionFolders{living, next} {
		if err := f.close(); err != nil {
			t.Error(err)
		}
	}
	if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestManyDaemonsStartingAtOnceLeaveEachOtherAlone(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	errs := make(chan error, 32)
	for range cap(errs) {
		go func() {
			errs <- func() error {
				for range 50 {
					f, err := newSessionFolders()
					if err != nil {
						return err
					}
					if _, err := f.new(); err != nil {
						return err
					}
					if err := f.close(); err != nil {
						return err
					}
				}
				return nil
			}()
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
