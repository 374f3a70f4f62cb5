package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"sync/atomic"
	"testing"
)

// countingConn counts writes.
type countingConn struct {
	net.Conn
	writes atomic.Int64
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

func pair(t *testing.T) (client *tls.Conn, counted *countingConn, server *tls.Conn) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialled, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		dialled.Close()
		accepted.Close()
	})
	counted = &countingConn{Conn: dialled}
	client = tls.Client(Below(counted, 0), &tls.Config{InsecureSkipVerify: true, DynamicRecordSizingDisabled: true})
	server = tls.Server(Below(accepted, 0), &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return client, counted, server
}

func TestTheRecordsOfAWriteGoOutTogether(t *testing.T) {
	client, counted, server := pair(t)
	out, in := Over(client), Over(server)
	before := counted.writes.Load()
	const size = 64 << 10
	sent := make(chan error, 1)
	go func() {
		_, err := out.Write(make([]byte, size))
		sent <- err
	}()
	if _, err := io.ReadFull(in, make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if n := counted.writes.Load() - before; n != 1 {
		t.Errorf("%d writes of TCP for one of 64 KiB, want 1", n)
	}
}

func TestCloseEndsAReadAndAWrite(t *testing.T) {
	client, _, _ := pair(t)
	out := Over(client)
	ended := make(chan error, 2)
	go func() {
		_, err := out.Read(make([]byte, 1))
		ended <- err
	}()
	go func() {
		var err error
		for err == nil { // until nobody reads and the buffers are full
			_, err = out.Write(make([]byte, 64<<10))
		}
		ended <- err
	}()
	out.Close()
	for range 2 {
		if err := <-ended; err == nil {
			t.Error("no error after Close")
		}
	}
}
