//go:build unix && !linux

package pipeline

import (
	"syscall"
	"time"
)

func accessTime(st *syscall.Stat_t) time.Time {
	return time.Unix(int64(st.Atimespec.Sec), int64(st.Atimespec.Nsec))
}
