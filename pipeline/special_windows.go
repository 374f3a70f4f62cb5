package pipeline

import (
	"errors"
	"io"
	"os"

	"mvdan.cc/sh/v3/interp"
)

// openSpecial knows no names of streams on this system.
func openSpecial(interp.HandlerContext, string, int) (io.ReadWriteCloser, bool, error) {
	return nil, false, nil
}

// duplicate cannot open a file a second time here.
func duplicate(*os.File) (*os.File, error) { return nil, errors.ErrUnsupported }

// reopen fails: there are no such names.
func reopen(*os.File, int) (*os.File, error) { return nil, errors.ErrUnsupported }
