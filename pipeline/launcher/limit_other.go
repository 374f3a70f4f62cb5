//go:build unix && !linux

package launcher

import "errors"

func setLimit(Limit) error { return errors.ErrUnsupported }
