package pollfd

import "errors"

// ErrWoken is the end of a wait by Wake.
var ErrWoken = errors.New("woken: the wait is over")
