package identity

import (
	"errors"
	"fmt"
	"strings"
)

const (
	maxTrustFile = 16 << 20 // bytes of known_hosts or authorized_keys
	maxLine      = 16 << 10 // bytes of a line without its end; OpenSSH's limit for authorized_keys
)

// eachLine calls each for every line of a file of trust that is neither blank nor a comment, without blanks
// around it, with its number from 1. Lines end in LF or CR LF, the last one perhaps in nothing. The first error
// ends it and is returned as a *LineError. Lines that hold control characters other than tabs, or that are
// too long, are errors, and so is a byte order mark: OpenSSH would not see the first line behind it.
func eachLine(path, data string, each func(number int, line string) error) error {
	for _, mark := range []string{"\xef\xbb\xbf", "\xff\xfe", "\xfe\xff"} {
		if strings.HasPrefix(data, mark) {
			return &LineError{Path: path, Line: 1, Err: errors.New("the file begins with a byte order mark: save it as plain text in UTF-8")}
		}
	}
	number := 0
	for line := range strings.Lines(data) {
		number++
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		err := checkLine(line)
		if line = strings.Trim(line, " \t"); err == nil && line != "" && line[0] != '#' {
			err = each(number, line)
		}
		if err != nil {
			return &LineError{Path: path, Line: number, Err: err}
		}
	}
	return nil
}

func checkLine(line string) error {
	if len(line) > maxLine {
		return fmt.Errorf("longer than %d bytes", maxLine)
	}
	for i := range len(line) {
		if c := line[i]; c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("control character %q in column %d", c, i+1)
		}
	}
	return nil
}

// cutField returns the part of a line before the first run of blanks, and the part after it.
func cutField(line string) (field, rest string) {
	i := strings.IndexAny(line, " \t")
	if i < 0 {
		return line, ""
	}
	return line[:i], strings.TrimLeft(line[i:], " \t")
}
