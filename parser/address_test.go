package parser_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"rpipe/parser"
)

func TestParseAddressReadsEveryForm(t *testing.T) {
	for _, test := range []struct {
		word, canonical string
		want            parser.Address
	}{
		{"@a:grep", "", parser.Address{Host: "a", Program: "grep"}},
		{"@a:7000:grep", "", parser.Address{Host: "a", Port: 7000, Program: "grep"}},
		{"@a", "", parser.Address{Host: "a"}},
		{"@a:9999", "", parser.Address{Host: "a", Port: 9999}},
		{"@a:1", "", parser.Address{Host: "a", Port: 1}},
		{"@a:65535:_", "", parser.Address{Host: "a", Port: 65535, Program: "_"}},
		{"@a:g++-13.x_y", "", parser.Address{Host: "a", Program: "g++-13.x_y"}},
		{"@7:x", "", parser.Address{Host: "7", Program: "x"}},
		{"@A-b_c.example.org.:x", "", parser.Address{Host: "A-b_c.example.org.", Program: "x"}},
		{"@192.0.2.1:80", "", parser.Address{Host: "192.0.2.1", Port: 80}},
		{"@[::1]", "", parser.Address{Host: "::1"}},
		{"@[::]:80", "", parser.Address{Host: "::", Port: 80}},
		{"@[2001:db8::1]:x", "", parser.Address{Host: "2001:db8::1", Program: "x"}},
		{"@[2001:db8::1]:80:x", "", parser.Address{Host: "2001:db8::1", Port: 80, Program: "x"}},
		{"@[2001:0DB8:0:0:0::1]:x", "@[2001:db8::1]:x", parser.Address{Host: "2001:db8::1", Program: "x"}},
		{"@[::ffff:c000:201]", "@[::ffff:192.0.2.1]", parser.Address{Host: "::ffff:192.0.2.1"}},
		{"@[fe80::1%en-0.1]:x", "", parser.Address{Host: "fe80::1%en-0.1", Program: "x"}},
		{"@unix:/run/a b.sock", "", parser.Address{Socket: "/run/a b.sock"}},
		{"@unix.:x", "", parser.Address{Host: "unix.", Program: "x"}},
		{"@unixes:x", "", parser.Address{Host: "unixes", Program: "x"}},
	} {
		got, err := parser.ParseAddress(test.word)
		if err != nil || got != test.want {
			t.Errorf("ParseAddress(%q) = %+v, %v, want %+v", test.word, got, err, test.want)
			continue
		}
		canonical := test.canonical
		if canonical == "" {
			canonical = test.word
		}
		if got.String() != canonical {
			t.Errorf("ParseAddress(%q).String() = %q, want %q", test.word, got, canonical)
		}
		if service := got.Program == ""; got.IsService() != service {
			t.Errorf("ParseAddress(%q).IsService() = %v", test.word, !service)
		}
	}
}

func TestParseAddressPointsAtTheProblem(t *testing.T) {
	for _, test := range []struct {
		word    string
		offset  int
		problem string // a part of it
	}{
		{"", 0, `begins with "@"`},
		{"a:grep", 0, `begins with "@"`},
		{"@", 1, "no host"},
		{"@:grep", 1, "no host"},
		{"@a:", 3, "no program"},
		{"@a:80:", 6, "no program"},
		{"@a::grep", 3, "no port between"},
		{"@a:0", 3, "port 0"},
		{"@a:65536:x", 3, "out of range"},
		{"@a:18446744073709551617", 3, "out of range"},
		{"@a:080", 3, "write 80"},
		{"@a:٣", 3, "cannot hold"},
		{"@a:+1:x", 3, "not a port"},
		{"@a:grep:80", 3, "write @a:80:grep"},
		{"@a:80:90", 6, "begins with a letter"},
		{"@a:80:x:y", 7, "nothing follows"},
		{"@a:1x", 3, "begins with a letter"},
		{"@a:/bin/x", 3, "write x"},
		{"@a:x\x00", 4, `"\x00"`},
		{"@a\xff:x", 2, `"\xff"`},
		{"@user@a:x", 5, "by their key"},
		{"@a.-b:x", 3, `"-"`},
		{"@a..b:x", 3, "dot too many"},
		{"@" + strings.Repeat("a", 64), 1, "63 bytes"},
		{"@" + strings.Repeat("a.", 127), 254, "253 bytes"},
		{"@a:" + strings.Repeat("x", 256), 258, "255 bytes"},
		{"@[::1:x", 1, `no "]"`},
		{"@[::1]x", 6, `after "]"`},
		{"@[]", 2, "no address"},
		{"@[a.example]:x", 1, "write a.example"},
		{"@[::g]:x", 2, "not an IPv6 address"},
		{"@[fe80::1%]", 2, "not an IPv6 address"},
		{"@[fe80::1%a b]", 2, "not an IPv6 address"},
		{"@::1", 1, "@[::1]"},
		{"@2001:db8::1:x", 1, "@[2001:db8::1]:x"},
		{"@unix:x", 5, "reserved"},
		{"@unix:run/x", 5, "reserved"},
		{"@unix:/run:x", 10, "write @unix:/run"},
		{"@unix:/\x00", 7, "NUL"},
	} {
		got, err := parser.ParseAddress(test.word)
		bad, ok := errors.AsType[*parser.AddressError](err)
		if !ok {
			t.Errorf("ParseAddress(%q) = %v, %v, want an *AddressError", test.word, got, err)
			continue
		}
		if got != (parser.Address{}) {
			t.Errorf("ParseAddress(%q) fails with %+v, want nothing", test.word, got)
		}
		if bad.Word != test.word || bad.Offset != test.offset || !strings.Contains(bad.Problem, test.problem) {
			t.Errorf("ParseAddress(%q) fails at %d with %q, want %d and %q", test.word, bad.Offset, bad.Problem, test.offset, test.problem)
		}
	}
}

func TestIPv6IsReadAsTheStandardLibraryDoes(t *testing.T) {
	for _, s := range []string{
		"::", "::1", "1::", "1::8", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:0:0:4:0:0:0:8",
		"1:0:0:4:5:0:0:8", "0:0:0:0:0:0:0:0", "1:0:3:4:5:6:7:8", "::ffff:192.0.2.1", "64:ff9b::192.0.2.33", "::192.0.2.1", "ABCD::EF01",
		"1:2:3:4:5:6:192.0.2.1",
		":", ":::", ":1", "1:", "1:2", "1:::2", "1::2::3", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "12345::", "g::", "+1::",
		"1_0::", "::192.0.2", "::192.0.2.256", "::192.0.02.1", "::192.0.2.1:1", "192.0.2.1", "1:2:3:4:5:6:7:192.0.2.1", "::1.2.3.4.5", "::-1", "::.", "::1.",
	} {
		checkIPv6(t, s)
	}
}

// checkIPv6 compares an IPv6 address without a zone with what netip makes of it.
func checkIPv6(t *testing.T, s string) {
	t.Helper()
	want := ""
	if addr, err := netip.ParseAddr(s); err == nil && addr.Is6() {
		want = addr.String()
	}
	got, err := parser.ParseAddress("@[" + s + "]")
	if got.Host != want {
		t.Errorf("ParseAddress(%q) gives host %q, %v, want %q", "@["+s+"]", got.Host, err, want)
	}
}

func TestServiceTakesNoArguments(t *testing.T) {
	service, program := parser.Address{Host: "a"}, parser.Address{Host: "a", Program: "grep"}
	for _, a := range []parser.Address{service, program, {}} {
		if err := a.CheckArgs(nil); err != nil {
			t.Errorf("%v without arguments: %v", a, err)
		}
	}
	if err := program.CheckArgs([]string{"x"}); err != nil {
		t.Errorf("a program with an argument: %v", err)
	}
	const want = `bad address "@a": this is a service, which takes no arguments; to run grep there write @a:grep`
	if err := service.CheckArgs([]string{"grep", "x"}); err == nil || err.Error() != want {
		t.Errorf("a service with arguments: %v, want %s", err, want)
	}
	if err := (parser.Address{Socket: "/s"}).CheckArgs([]string{""}); err == nil {
		t.Error("a socket takes an argument")
	}
}
