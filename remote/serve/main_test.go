package serve

import (
	"os"
	"testing"

	"rpipe/remote/serve/reaper"
)

func TestMain(m *testing.M) {
	if reaper.Asked() {
		os.Exit(reaper.Main())
	}
	os.Exit(m.Run())
}
