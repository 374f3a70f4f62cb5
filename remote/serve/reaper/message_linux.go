package reaper

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/sys/unix"
)

// kind says what a message is.
type kind uint8

// The messages. Both ends are the same executable: the numbers may change.
const (
	// To the reaper.
	kindStart   kind = iota + 1 // a Pipeline without its files, which come along
	kindSignal                  // to the group; u8 number
	kindRelease                 // close the end of standard input that is held
	kindKill                    // kill all
	kindEnd                     // kill what is left, and say how the programs ended

	// From it.
	kindReady   // it may be used; u32 thread that starts programs
	kindStarted // u32 group, or 0; for each program u32 errno, 0 if it runs
	kindRefused // there are no pipes and nothing runs; u32 errno
	kindExited  // every program has exited, and something else is left
	kindEnded   // nothing is left, also unasked; for each program its Exit
)

// maxMessage bounds the length of a message: more than execve(2) takes.
const maxMessage = 64 << 20

// maxFiles is the number of descriptors that come with a Pipeline.
const maxFiles = 4

// message is one of them, encoded as u8 kind, u32 length, body.
type message struct {
	kind  kind
	body  []byte
	files []int // on their way as SCM_RIGHTS (unix(7)); close-on-exec when they arrive
}

const headLen = 5

var errMessage = errors.New("malformed message")

// send writes m. It may not be called concurrently.
func send(conn *net.UnixConn, m message) error {
	var b cryptobyte.Builder
	b.AddUint8(uint8(m.kind))
	b.AddUint32LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(m.body) })
	bytes, err := b.Bytes()
	if err != nil {
		return err
	}
	var rights []byte
	if len(m.files) > 0 {
		rights = unix.UnixRights(m.files...)
	}
	n, _, err := conn.WriteMsgUnix(bytes, rights, nil)
	if err == nil && n < len(bytes) {
		_, err = conn.Write(bytes[n:])
	}
	return err
}

// receive reads a message, whose files are the caller's to close. It returns io.EOF
// where the other end has closed the connection.
func receive(conn *net.UnixConn) (message, error) {
	var head [headLen]byte
	rights := make([]byte, unix.CmsgSpace(4*maxFiles))
	n, rightsLen, _, _, err := conn.ReadMsgUnix(head[:], rights)
	if err != nil {
		return message{}, err
	}
	m := message{kind: kind(head[0])}
	if m.files, err = files(rights[:rightsLen]); err != nil {
		return message{}, err
	}
	length := uint32(0)
	if _, err = io.ReadFull(conn, head[n:]); err == nil {
		s := cryptobyte.String(head[1:])
		s.ReadUint32(&length)
		if length > maxMessage {
			err = errMessage
		}
	}
	if err == nil {
		m.body = make([]byte, length)
		_, err = io.ReadFull(conn, m.body)
	}
	if err != nil {
		closeAll(m.files)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return message{}, err
	}
	return m, nil
}

func files(rights []byte) ([]int, error) {
	control, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	var files []int
	for _, c := range control {
		fds, err := unix.ParseUnixRights(&c)
		if err != nil {
			return nil, err
		}
		files = append(files, fds...)
	}
	return files, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

func addString(b *cryptobyte.Builder, s string) {
	b.AddUint32LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(s)) })
}

func readString(s *cryptobyte.String, out *string) bool {
	var n uint32
	var bytes []byte
	if !s.ReadUint32(&n) || !s.ReadBytes(&bytes, int(n)) {
		return false
	}
	*out = string(bytes)
	return true
}

func addStrings(b *cryptobyte.Builder, list []string) {
	b.AddUint32(uint32(len(list)))
	for _, s := range list {
		addString(b, s)
	}
}

func readStrings(s *cryptobyte.String, out *[]string) bool {
	var n uint32
	if !s.ReadUint32(&n) || int(n) > len(*s)/4 {
		return false
	}
	*out = make([]string, n)
	for i := range *out {
		if !readString(s, &(*out)[i]) {
			return false
		}
	}
	return true
}

func (p *Pipeline) encode() ([]byte, error) {
	var b cryptobyte.Builder
	addString(&b, p.Dir)
	b.AddUint32(uint32(len(p.Programs)))
	for _, program := range p.Programs {
		addString(&b, program.Path)
		addStrings(&b, program.Args)
		addStrings(&b, program.Env)
	}
	return b.Bytes()
}

func decodePipeline(body []byte) (*Pipeline, error) {
	p := &Pipeline{}
	s := cryptobyte.String(body)
	var n uint32
	if !readString(&s, &p.Dir) || !s.ReadUint32(&n) || n == 0 || int(n) > len(s)/12 {
		return nil, errMessage
	}
	p.Programs = make([]Program, n)
	for i := range p.Programs {
		q := &p.Programs[i]
		if !readString(&s, &q.Path) || !readStrings(&s, &q.Args) || !readStrings(&s, &q.Env) {
			return nil, errMessage
		}
	}
	if !s.Empty() {
		return nil, errMessage
	}
	return p, nil
}

func encodeNumbers(numbers ...uint32) []byte {
	var b cryptobyte.Builder
	for _, n := range numbers {
		b.AddUint32(n)
	}
	return b.BytesOrPanic()
}

func decodeNumbers(body []byte, count int) ([]uint32, error) {
	s := cryptobyte.String(body)
	numbers := make([]uint32, count)
	for i := range numbers {
		if !s.ReadUint32(&numbers[i]) {
			return nil, errMessage
		}
	}
	if !s.Empty() {
		return nil, errMessage
	}
	return numbers, nil
}

func encodeExits(exits []Exit) []byte {
	var b cryptobyte.Builder
	for _, e := range exits {
		b.AddUint32(uint32(e.Status))
		b.AddUint64(uint64(e.User))
		b.AddUint64(uint64(e.System))
		b.AddUint64(e.MaxRSS)
	}
	return b.BytesOrPanic()
}

func decodeExits(body []byte, count int) ([]Exit, error) {
	s := cryptobyte.String(body)
	exits := make([]Exit, count)
	for i := range exits {
		e := &exits[i]
		var status uint32
		var user, system uint64
		if !s.ReadUint32(&status) || !s.ReadUint64(&user) || !s.ReadUint64(&system) || !s.ReadUint64(&e.MaxRSS) {
			return nil, errMessage
		}
		e.Status, e.User, e.System = syscall.WaitStatus(status), time.Duration(user), time.Duration(system)
	}
	if !s.Empty() {
		return nil, errMessage
	}
	return exits, nil
}
