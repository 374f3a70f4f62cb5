package wiretest

import (
	"bytes"
	"testing"
)

func TestVectorIsReadWhole(t *testing.T) {
	v, err := Parse("name: eof\ndescription: the first line,\n    and the second\nto: server\nstate: running\n" +
		"hex:\n    06 00 000008 # a comment: 07\n    00*7 06\ndecoded:\n    EOF stdin 6\n      more\n")
	if err != nil {
		t.Fatal(err)
	}
	if v.Name != "eof" || v.Description != "the first line,\nand the second" || v.To != "server" || v.State != "running" ||
		v.Decoded != "EOF stdin 6\n  more" || v.Reason != "" {
		t.Errorf("read %+v", v)
	}
	if want := []byte("\x06\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x06"); !bytes.Equal(v.Bytes, want) {
		t.Errorf("read % x, want % x", v.Bytes, want)
	}
}

func TestWhatIsNoVectorIsRefused(t *testing.T) {
	const head = "name: a\ndescription: b\n"
	for _, text := range []string{
		"",
		"name: a\nreason: no description\n",
		"description: no name\nreason: x\n",
		head + "hex:\n    00\n",
		head + "decoded: both\nreason: of them\n",
		head + "reason: x\nto: server\n",
		head + "reason: x\nstate: idle\n",
		head + "reason: x\nother: y\n",
		head + "reason: x\nno field\n",
		"    indented\n" + head + "reason: x\n",
		head + "reason: x\nhex:\n    0\n",
		head + "reason: x\nhex:\n    00*x\n",
		head + "reason: x\nhex:\n    00*0\n",
		head + "reason: x\nhex:\n    00*99999999\n",
	} {
		if v, err := Parse(text); err == nil {
			t.Errorf("%q was read as %+v", text, v)
		}
	}
}
