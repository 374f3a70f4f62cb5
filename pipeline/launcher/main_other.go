//go:build !unix

package launcher

import "errors"

func self() (string, error) { return "", errors.ErrUnsupported }

// Main returns an exit status: there is no launcher on this system.
func Main() int { return statusRefused }
