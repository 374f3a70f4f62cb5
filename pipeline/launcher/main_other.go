//go:build !unix

package launcher

import (
	"errors"
	"os"
)

func self() (string, error) { return "", errors.ErrUnsupported }

// Main returns an exit status: there is no launcher on this system.
func Main() int { return statusRefused }

// Become fails.
func (Spec) Become(string, []string, []string, []*os.File) error { return errors.ErrUnsupported }
