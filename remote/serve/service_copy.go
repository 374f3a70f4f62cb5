package serve

import (
	"errors"
	"io"
	"sync/atomic"
	"syscall"
)

// copySize is that of the buffers, where bytes go through user space.
const copySize = 64 << 10

// writer and reader are a pipe or a connection.
type (
	writer interface {
		io.Writer
		syscall.Conn
	}
	reader interface {
		io.Reader
		syscall.Conn
	}
)

// copyStream copies to the end of from, one of the two being a pipe and the other a
// connection, without a copy in user space where the system can. It ends with
// os.ErrDeadlineExceeded after the read deadline of from and the write deadline
// of to.
func copyStream(to writer, from reader, moved *atomic.Int64) error {
	if err := spliceStream(to, from, moved); !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	buf := make([]byte, copySize)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			written, werr := to.Write(buf[:n])
			moved.Add(int64(written))
			if werr != nil {
				return werr
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}
