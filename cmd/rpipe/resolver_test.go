package main

import (
	"bytes"
	"net"
	"testing"
)

func TestResolverAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.53":           "192.0.2.53:53",
		"192.0.2.53:5353":      "192.0.2.53:5353",
		"2001:db8::53":         "[2001:db8::53]:53",
		"[2001:db8::53]":       "[2001:db8::53]:53",
		"[2001:db8::53]:5353":  "[2001:db8::53]:5353",
		"fe80::1%eth0":         "[fe80::1%eth0]:53",
		"":                     "",
		"name":                 "",
		"name:53":              "",
		"192.0.2.53:":          "",
		"192.0.2.53:0":         "",
		"192.0.2.53:99999":     "",
		"[192.0.2.53":          "",
		"192.0.2.53:domain":    "",
		"udp://192.0.2.53:999": "",
	} {
		var got resolverAddress
		err := got.UnmarshalText([]byte(in))
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
}

// TestTheNamedResolverIsAsked asks a name server that has one address for every name.
func TestTheNamedResolverIsAsked(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for buf := make([]byte, 512); ; {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(addressReply(buf[:n]), from)
		}
	}()
	defer func() {
		server.Close()
		<-ended
	}()
	c := &command{}
	if err := c.Resolver.UnmarshalText([]byte(server.LocalAddr().String())); err != nil {
		t.Fatal(err)
	}
	got, err := c.nameServer().LookupNetIP(t.Context(), "ip4", "upper.pipes.test.")
	if err != nil || len(got) != 1 || got[0].String() != "192.0.2.7" {
		t.Errorf("%v, %v", got, err)
	}
}

// addressReply answers a question for an address with 192.0.2.7 (RFC 1035, section 4).
func addressReply(query []byte) []byte {
	end := 12 + bytes.IndexByte(query[12:], 0) + 5 // of the question
	reply := bytes.Clone(query[:end])
	copy(reply[2:], []byte{0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0}) // authoritative; one question
	if query[end-3] == 1 {                                   // type A
		reply[7] = 1 // one answer
		reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7)
	}
	return reply
}
