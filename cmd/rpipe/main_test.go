package main

import (
	"testing"
	"time"
)

func TestTimesOnTheCommandLine(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90": 90 * time.Second, "1.5": 1500 * time.Millisecond, "1.5s": 1500 * time.Millisecond,
		"10m": 10 * time.Minute, "1h30m": 90 * time.Minute, "250ms": 250 * time.Millisecond,
		"": 0, "0": 0, "-1": 0, "-1s": 0, "soon": 0, "1 s": 0, "NaN": 0, "1e999": 0,
	} {
		var got seconds
		err := got.UnmarshalText([]byte(text))
		if time.Duration(got) != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %v, %v, want %v", text, time.Duration(got), err, want)
		}
	}
}

func TestAddressesOfHosts(t *testing.T) {
	for text, want := range map[string]string{
		"a": "a", "a:1": "a:1", "a.example.org": "a.example.org", "192.0.2.7:7747": "192.0.2.7:7747",
		"[2001:db8::1]:7747": "[2001:db8::1]:7747", "[2001:db8::1]": "2001:db8::1",
		"": "", "@a": "", "a:": "", "a:x": "", "a:0": "", "a:70000": "", "a:1:2": "", "a:cat": "", "unix:/x": "", "a b": "", "\x1b": "",
	} {
		got, err := hostAddress(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
}

func TestKeysInAnAgentAreToldFromFiles(t *testing.T) {
	for value, want := range map[string]string{
		"agent:me@here": "me@here", "SHA256:abc": "SHA256:abc", "/x/key.pub": "/x/key.pub", "/x/key": "", "": "",
	} {
		if got, ok := agentSelector(value); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q, %v", value, got, ok)
		}
	}
}
