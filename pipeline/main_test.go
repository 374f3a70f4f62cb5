package pipeline_test

import (
	"os"
	"testing"

	"rpipe/pipeline/launcher"
)

func TestMain(m *testing.M) {
	if launcher.Asked() {
		os.Exit(launcher.Main())
	}
	os.Exit(m.Run())
}
