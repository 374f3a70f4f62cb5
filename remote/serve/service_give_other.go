//go:build !unix

package serve

import (
	"errors"
	"os"
)

const canGiveSocket = false

func blockingFile(stream) (*os.File, error) { return nil, errors.ErrUnsupported }

func unblock(stream) {}

func (*serviceConn) peek() error { return nil }
