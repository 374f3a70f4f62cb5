package serve

import (
	"crypto/sha256"
	"crypto/subtle"
	"sync"
	"time"

	"rpipe/remote/wire"
)

// ticketLife is how long a ticket is good for, from ACCEPT.
const ticketLife = 30 * time.Second

// ticket is what lets another daemon send the input of one session. Its fields from
// state on are guarded by tickets.mu.
type ticket struct {
	hash   [sha256.Size]byte // of the secret
	peer   string            // host key of that daemon, in SSH's wire format
	digest wire.Digest       // of the session's programs

	state   ticketState
	expires time.Time
	hop     *hop // of a taken one
}

type ticketState int

const (
	ticketIdle  ticketState = iota // before ACCEPT
	ticketGood                     // until it expires
	ticketTaken                    // the hop is there
	ticketVoid                     // the caller sends the input after all
)

// Why a ticket is not good: for this host's log, never for the taker.
const (
	ticketUnknown   = "unknown ticket"
	ticketForeign   = "ticket of another host"
	ticketDirection = "ticket for another direction"
	ticketPrograms  = "ticket for other programs or arguments"
	ticketReplayed  = "replayed ticket"
	ticketRelayed   = "ticket of a session that is relayed"
	ticketExpired   = "expired ticket"
)

// tickets are those of all sessions that are open or under way, one each at most.
// The zero value is ready. Its methods may be called concurrently.
type tickets struct {
	mu     sync.Mutex
	all    map[[sha256.Size]byte]*ticket
	byPeer map[string]map[*ticket]struct{}
}

// add keeps the ticket of an OPEN, which is good for nothing before validate;
// remove must follow. It returns nil where the same secret is in use.
func (t *tickets) add(o wire.Open) *ticket {
	k := &ticket{hash: sha256.Sum256(o.In.Secret[:]), peer: string(o.In.Peer), digest: o.Digest()}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all[k.hash] != nil {
		return nil
	}
	if t.all == nil {
		t.all = make(map[[sha256.Size]byte]*ticket)
		t.byPeer = make(map[string]map[*ticket]struct{})
	}
	t.all[k.hash] = k
	if t.byPeer[k.peer] == nil {
		t.byPeer[k.peer] = make(map[*ticket]struct{})
	}
	t.byPeer[k.peer][k] = struct{}{}
	return k
}

// validate makes a ticket good until then.
func (t *tickets) validate(k *ticket, until time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k.state, k.expires = ticketGood, until
}

// remove forgets a ticket when its session is over.
func (t *tickets) remove(k *ticket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, k.hash)
	delete(t.byPeer[k.peer], k)
	if len(t.byPeer[k.peer]) == 0 {
		delete(t.byPeer, k.peer)
	}
}

// awaits reports whether a ticket is good for the host with this key, in SSH's wire
// format.
func (t *tickets) awaits(peer []byte) bool {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for k := range t.byPeer[string(peer)] {
		if k.state == ticketGood && now.Before(k.expires) {
			return true
		}
	}
	return false
}

// take uses the ticket up that is asked for and gives its session the hop that
// begin returns, or says why not: then the ticket is as good as before, and begin
// was not called. Of several takers one gets it.
func (t *tickets) take(peer []byte, asked wire.Take, begin func() *hop) (problem string) {
	hash := sha256.Sum256(asked.Secret[:])
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	k := t.all[hash]
	switch {
	case k == nil, k.state == ticketIdle:
		return ticketUnknown
	case k.peer != string(peer):
		return ticketForeign
	case asked.Direction != wire.ToStdin:
		return ticketDirection
	case subtle.ConstantTimeCompare(k.digest[:], asked.Digest[:]) == 0:
		return ticketPrograms
	case k.state == ticketTaken:
		return ticketReplayed
	case k.state == ticketVoid:
		return ticketRelayed
	case !now.Before(k.expires):
		return ticketExpired
	}
	k.state, k.hop = ticketTaken, begin()
	return ""
}

// relay makes a ticket void, and drops the hop of one that was taken.
func (t *tickets) relay(k *ticket) {
	t.mu.Lock()
	h := k.hop
	k.state, k.hop = ticketVoid, nil
	t.mu.Unlock()
	if h != nil {
		h.drop()
	}
}

// taken returns the hop of a ticket, nil where nobody took it.
func (t *tickets) taken(k *ticket) *hop {
	t.mu.Lock()
	defer t.mu.Unlock()
	return k.hop
}
