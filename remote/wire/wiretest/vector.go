package wiretest

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Vector is one test vector.
type Vector struct {
	Name        string
	Description string
	To          string // "client", "server", or ""
	State       string // as the package says, or ""
	Bytes       []byte
	Decoded     string // lines, without the indent of the file
	Reason      string // "" where the frames are right
	Text        string // the whole file
}

// Vectors returns the vectors in dir, which is remote/wire/testdata/vectors as
// seen from the test's package. No vectors are a failure.
func Vectors(t testing.TB, dir string) []Vector {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no test vectors in %q (%v)", dir, err)
	}
	var list []Vector
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		v, err := Parse(string(text))
		if err == nil && v.Name+".txt" != filepath.Base(name) {
			err = fmt.Errorf("its name is %q", v.Name)
		}
		if err != nil {
			t.Fatalf("test vector %q: %v", name, err)
		}
		list = append(list, v)
	}
	return list
}

// Parse reads one vector.
func Parse(text string) (Vector, error) {
	v := Vector{Text: text}
	fields := map[string]*string{
		"name": &v.Name, "description": &v.Description, "to": &v.To, "state": &v.State,
		"hex": new(string), "decoded": &v.Decoded, "reason": &v.Reason,
	}
	var field *string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if more, ok := strings.CutPrefix(line, "    "); ok && field != nil {
			*field = strings.TrimPrefix(*field+"\n"+more, "\n")
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		if field, ok = fields[key], ok && fields[key] != nil; !ok {
			return v, fmt.Errorf("no field in line %q", line)
		}
		*field = strings.TrimSpace(value)
	}
	switch {
	case v.Name == "" || v.Description == "":
		return v, fmt.Errorf("it has no name or no description")
	case (v.Decoded == "") == (v.Reason == ""):
		return v, fmt.Errorf("it has not just one of decoded and reason")
	case (v.To == "") != (v.State == ""):
		return v, fmt.Errorf("it has not both of to and state, or neither")
	}
	var err error
	v.Bytes, err = parseHex(*fields["hex"])
	return v, err
}

func parseHex(text string) ([]byte, error) {
	var b []byte
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		for _, word := range strings.Fields(line) {
			digits, times, repeated := strings.Cut(word, "*")
			p, err := hex.DecodeString(digits)
			n := 1
			if err == nil && repeated {
				n, err = strconv.Atoi(times)
			}
			if err != nil || n < 1 || n > 1<<20 {
				return nil, fmt.Errorf("no bytes: %q", word)
			}
			b = append(b, bytes.Repeat(p, n)...)
		}
	}
	return b, nil
}
