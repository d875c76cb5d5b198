package proxy

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"quorate/proxy/relay"
)

// reason says why a session ended. It doubles as a metric label.
type reason string

const (
	reasonClient      reason = "client_closed"
	reasonBackend     reason = "backend_closed"
	reasonClientLost  reason = "client_lost" // reset, or dead by keep-alive
	reasonBackendLost reason = "backend_lost"
	reasonTerm        reason = "term_ended"
	reasonExpired     reason = "table_expired"
	reasonBackendGone reason = "backend_gone"
	reasonKilled      reason = "killed"
	reasonShutdown    reason = "shutdown"
)

// notice is what a plain client is told when the router ends its session.
func (why reason) notice() []byte {
	switch why {
	case reasonTerm, reasonExpired:
		return fatal(stateAdminShutdown, "terminating connection because its server is no longer the primary",
			"Connect again through the router: it waits for the new primary.")
	case reasonBackendGone:
		return fatal(stateAdminShutdown, "terminating connection because its server has left the cluster", "Connect again.")
	case reasonKilled:
		return fatal(stateAdminShutdown, "terminating connection due to administrator command", "")
	case reasonShutdown:
		return fatal(stateAdminShutdown, "terminating connection because the router is shutting down", "Connect again.")
	}
	return nil
}

// session is one client on one backend.
type session struct {
	r       *Router
	l       *listener
	id      uint64
	host    string         // the client's address without port
	source  netip.AddrPort // the same with port; invalid for a UNIX socket
	client  duplex         // until the session is relayed
	server  *relay.Conn    // likewise
	backend Backend
	term    Term // zero unless the backend is the primary; guarded by the router's mu
	since   time.Time
	// waited is how long the client was held before this session, connected how long the connect to the backend took.
	waited, connected time.Duration

	key       string      // cancel key, once known; guarded by the router's mu
	encrypted atomic.Bool // nothing can be read of it, and nothing said in it
	frames    framer
	who       atomic.Pointer[identity] // nil where the startup message was not visible

	idleAt atomic.Int64 // how many bytes the client had sent when the server last said that no transaction is open; -1 if it has spoken since

	worked atomic.Bool // the server has answered a statement

	flow relay.Flow

	mu      sync.Mutex // guards why and relayed
	why     reason
	relayed bool          // handed to the relay, which owns the connections
	silent  chan struct{} // closed when no byte passes any more
}

// identity is what a startup message says of its sender.
type identity struct{ user, database, app string }

// peer is the client's address for people.
func (s *session) peer() string {
	if s.source.IsValid() {
		return s.source.String()
	}
	return s.host
}

func (s *session) note(p start) { s.who.Store(&identity{p.user, p.database, p.app}) }

// end makes s stop, whatever it is doing; the first reason counts. It does not block: silent is closed as soon as no byte passes.
func (s *session) end(why reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why == "" {
		s.why = why
	}
	if s.relayed {
		s.flow.End()
		return
	}
	shut(s.server) // the opening notices, and goes on from there
}

// ended is why s ended, or nothing while it lives.
func (s *session) ended() reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.why
}

// relay hands both connections to the relay. The session goes on without a goroutine of its own.
func (s *session) relay() error {
	client, ok := s.client.(*relay.Conn)
	if !ok {
		var err error
		if client, err = s.client.(*tlsFront).detach(s.server); err != nil {
			return errors.Join(err, s.server.Close())
		}
	}
	s.r.clients.Add(1) // until Closed
	s.mu.Lock()
	defer s.mu.Unlock()
	s.relayed = true
	if s.why != "" {
		s.flow.End()
	}
	err := s.r.engine.Start(&s.flow, s, client, s.server)
	if err != nil {
		s.r.clients.Done()
	}
	return err
}

// Seen implements relay.Owner: it follows a plain session's messages, to learn its cancel key and where the router may speak.
func (s *session) Seen(p []byte) {
	if s.encrypted.Load() {
		return
	}
	had := s.frames.ready
	s.frames.feed(p)
	s.idleAt.Store(-1)
	if s.frames.idle() {
		up, _ := s.flow.Counts()
		s.idleAt.Store(up)
	}
	if s.frames.worked && !s.worked.Load() {
		s.worked.Store(true)
	}
	if had {
		return
	}
	if key, ok := s.frames.cancelKey(); ok {
		s.r.remember(key, s)
	}
}

// Unseen implements relay.Owner.
func (s *session) Unseen() {
	s.frames.lose()
	s.idleAt.Store(-1)
}

// idle says whether a plain session stands between two transactions: the server is ready, and the client has sent nothing since.
func (s *session) idle() bool {
	up, _ := s.flow.Counts()
	return s.idleAt.Load() == up
}

// Parting implements relay.Owner: a plain client is told why its session ends, where that cannot be mistaken for the server's data.
func (s *session) Parting() []byte {
	if s.encrypted.Load() || !s.frames.between() {
		return nil
	}
	return s.ended().notice()
}

// Silent implements relay.Owner.
func (s *session) Silent(c relay.Cause) {
	s.mu.Lock()
	if s.why == "" {
		s.why = causes[c]
	}
	why := s.why
	s.mu.Unlock()
	s.r.forget(s, why)
	close(s.silent)
}

// Closed implements relay.Owner.
func (s *session) Closed() { s.r.clients.Done() }

var causes = map[relay.Cause]reason{
	relay.ClientClosed: reasonClient, relay.ServerClosed: reasonBackend,
	relay.ClientLost: reasonClientLost, relay.ServerLost: reasonBackendLost, relay.Ended: reasonShutdown,
}
