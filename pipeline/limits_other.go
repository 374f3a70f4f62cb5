//go:build !linux

package pipeline

import "errors"

// resources are none: limits are not known on this system.
var resources []resource

func processLimit(int) (limit, error) { return limit{}, errors.ErrUnsupported }
