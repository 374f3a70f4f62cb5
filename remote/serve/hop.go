package serve

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"rpipe/remote/identity"
	"rpipe/remote/transport"
	"rpipe/remote/wire"
)

// hopTimeout bounds the making of a hop: TCP, TLS and the peer's answer.
const hopTimeout = 3 * time.Second

// Hops says which other daemons this one may connect to. It may be called
// concurrently.
type Hops interface {
	// Peer returns the daemon with that host key, if caller may have output sent
	// to it. The error is a *Refusal, whose reason the caller is told; its status
	// means nothing.
	Peer(caller string, key ssh.PublicKey) (HopPeer, error)
}

// HopPeer is a daemon that this one may connect to.
type HopPeer struct {
	Name    string // as the administrator calls it
	Address string // "host:port"
}

// hop is our end of a connection between two daemons. Its stream carries the output
// of a session on one to the input of a session on the other.
type hop struct {
	peer   string // for people
	tls    *tls.Conn
	wire   *wire.Conn
	stream *wire.Session

	once sync.Once
	over chan struct{} // of a taken one: closed by release and drop
}

// release says that the session needs the hop that it was given no more: what it had
// to say is said. take ends the connection then, so that this arrives.
func (h *hop) release() { h.once.Do(func() { close(h.over) }) }

// drop cuts a hop that was given to a session, unless it is released.
func (h *hop) drop() {
	h.once.Do(func() {
		h.wire.Drop()
		close(h.over)
	})
}

// connectHop makes the hop that a caller asks for. The error's text is for the
// caller; nothing of a hop is left then.
func (s *Server) connectHop(ctx context.Context, caller string, asked wire.Hop, log *slog.Logger) (*hop, error) {
	log = log.With("name", asked.Name)
	key, err := ssh.ParsePublicKey(asked.Peer)
	if err != nil {
		log.Warn("hop refused", "error", err)
		return nil, fmt.Errorf("the host key of %s is damaged", quoted(asked.Name))
	}
	peer, err := s.peerOf(caller, key)
	if err != nil {
		log.Warn("hop refused", "key", identity.Fingerprint(key), "reason", err)
		return nil, fmt.Errorf("this host may not connect to %s: %w", quoted(asked.Name), err)
	}
	log = log.With("to", peer.Name, "address", peer.Address)
	dialling, cancel := context.WithTimeout(ctx, s.hopTimeout)
	defer cancel()
	h, err := s.dialHop(dialling, peer, key, asked)
	if err != nil {
		log.Warn("hop not made", "error", err)
		return nil, fmt.Errorf("this host cannot connect to %s: %w", quoted(asked.Name), s.hopProblem(dialling, err))
	}
	log.Info("hop made")
	return h, nil
}

func (s *Server) peerOf(caller string, key ssh.PublicKey) (HopPeer, error) {
	if s.Hops == nil {
		return HopPeer{}, notListed(key)
	}
	return s.Hops.Peer(caller, key)
}

// notListed refuses a peer that this host does not know.
func notListed(key ssh.PublicKey) *Refusal {
	return refuse(StatusDenied, "its administrator would list the key %s under hop_to", identity.Fingerprint(key))
}

// hopProblem leaves out of an error the address, which is this host's
// administrator's business, and says plainly where it took too long.
func (s *Server) hopProblem(dialling context.Context, err error) error {
	var op *net.OpError
	switch {
	case dialling.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("no answer in %v", s.hopTimeout)
	case errors.As(err, &op):
		return op.Err
	}
	return err
}

// dialHop connects to a peer, and gives it the ticket. The connection is counted
// among the server's until endHop.
func (s *Server) dialHop(ctx context.Context, peer HopPeer, key ssh.PublicKey, asked wire.Hop) (*hop, error) {
	config, err := identity.ClientConfig(s.Key, func(offered ssh.PublicKey) error {
		if !bytes.Equal(offered.Marshal(), key.Marshal()) {
			return errors.New("another host answers there: its key is " + identity.Fingerprint(offered))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	config.DynamicRecordSizingDisabled = true // for throughput
	var dialer net.Dialer
	tcp, err := dialer.DialContext(ctx, "tcp", peer.Address)
	if err != nil {
		return nil, err
	}
	if !s.register(tcp) {
		tcp.Close()
		return nil, errors.New("this host has too many connections")
	}
	conn := tls.Client(transport.Below(tcp, s.DeadTimeout), config)
	if err := identity.Handshake(ctx, conn); err != nil {
		s.forget(tcp)
		return nil, err
	}
	h := &hop{peer: peer.Name, tls: conn}
	h.wire = wire.NewConn(transport.Over(conn), s.wireOptions(wire.Client))
	h.stream = h.wire.BeginHop()
	if err := h.take(ctx, asked); err != nil {
		s.endHop(h)
		return nil, err
	}
	return h, nil
}

// endHop ends a connection that dialHop made, at once, and returns when it is
// gone.
func (s *Server) endHop(h *hop) {
	h.wire.Close()
	s.forget(h.tls.NetConn().(*transport.Conn).Conn)
}

// take sends TAKE and waits for the answer.
func (h *hop) take(ctx context.Context, asked wire.Hop) error {
	taken := make(chan struct{})
	answered := false // the handler's
	h.wire.Start(func(f wire.Frame) error {
		switch {
		case f.Type == wire.TypeTaken && !answered:
			answered = true
			close(taken)
			return nil
		case f.Type == wire.TypeRefuse && !answered:
			r, err := wire.DecodeRefuse(f.Payload)
			if err != nil {
				return err
			}
			return refuse(int(r.Status), "it refuses: %s", quoted(r.Text))
		}
		return outOfPlace(f)
	})
	_ = h.wire.Send(wire.Take{Direction: wire.ToStdin, Secret: asked.Secret, Digest: asked.Digest}.Frame())
	select {
	case <-taken:
		return nil
	case <-h.wire.Done():
		return cutReason(h.wire.Err())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// cutReason is why a connection ended, in words.
func cutReason(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the other host closed the connection")
	}
	return err
}

// finishHop ends a hop that dialHop made after the last word on it, in such a way
// that this arrives, and does not wait for that.
func (s *Server) finishHop(h *hop) {
	s.wg.Go(func() {
		defer s.endHop(h)
		leave(h.tls, h.wire, leaveTimeout)
	})
}
