package proxy

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
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

// ours says whether the router ended the session, and not one of its peers.
func (why reason) ours() bool { return why.notice() != nil }

// session is one client on one backend.
type session struct {
	r       *Router
	l       *listener
	id      uint64
	host    string // the client's address without port
	peer    string // the same with port
	client  duplex
	server  duplex
	backend Backend
	term    Term // zero unless the backend is the primary; guarded by the router's mu
	since   time.Time

	key       string      // cancel key, once known; guarded by the router's mu
	encrypted atomic.Bool // nothing can be read of it, and nothing said in it
	frames    framer
	who       atomic.Pointer[identity] // nil where the startup message was not visible

	up, down   atomic.Int64 // bytes from the client, to the client
	clientDone atomic.Bool  // the client has sent its end

	mu      sync.Mutex // guards why, and the order of client's deadlines around an end
	why     reason
	relayed bool          // past its opening: an end concerns the client too
	silent  chan struct{} // closed when no byte passes any more
}

// identity is what a startup message says of its sender.
type identity struct{ user, database, app string }

func (s *session) note(p start) { s.who.Store(&identity{p.user, p.database, p.app}) }

// end makes s stop, whatever it is doing; the first reason counts. When it returns, both directions to the server are
// shut. It does not block.
func (s *session) end(why reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why == "" {
		s.why = why
	}
	if s.relayed {
		_ = s.client.SetDeadline(time.Unix(1, 0)) // frees a copy that is blocked on a slow client
	}
	shut(s.server)
}

// ended is why s ended, or nothing while it lives.
func (s *session) ended() reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.why
}

// conclude notes why s ended, unless something else ended it before.
func (s *session) conclude(why reason) reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why == "" {
		s.why = why
	}
	return s.why
}

// relay passes bytes both ways until both directions have ended, then closes. It returns when the session is over.
func (s *session) relay() {
	s.mu.Lock()
	s.relayed = true
	if s.why != "" {
		_ = s.client.SetDeadline(time.Unix(1, 0))
	}
	s.mu.Unlock()
	up := make(chan struct{})
	go func() { defer close(up); s.copyUp() }()
	writable := s.copyDown()
	<-up
	close(s.silent)
	s.close(writable)
}

// copyUp passes what the client sends, and its end.
func (s *session) copyUp() {
	err := pass(s.server, s.client, &s.up, nil)
	var w writeError
	switch {
	case err == nil:
		s.clientDone.Store(true)
		_ = s.server.CloseWrite()
	case errors.As(err, &w):
		// The server is gone or going. What it sent before (often why) is still on its way down, so only this direction ends.
	default:
		s.conclude(reasonClientLost)
		shut(s.server)
	}
}

// copyDown passes what the server sends, and its end. It says whether the client can still be spoken to.
func (s *session) copyDown() (writable bool) {
	err := pass(s.client, s.server, &s.down, s.see)
	var w writeError
	switch {
	case err == nil:
		return s.serverDone()
	case errors.As(err, &w):
		s.conclude(reasonClientLost)
		shut(s.server)
		_ = s.client.SetReadDeadline(time.Unix(1, 0))
		return false
	}
	why := s.conclude(reasonBackendLost)
	_ = s.client.SetReadDeadline(time.Unix(1, 0))
	return why.ours()
}

// serverDone passes the server's end on. It is also how the router's own end shows here, for that shuts the server's socket.
func (s *session) serverDone() (writable bool) {
	why := reasonBackend
	if s.clientDone.Load() {
		why = reasonClient
	}
	if why = s.conclude(why); why.ours() {
		_ = s.client.SetReadDeadline(time.Unix(1, 0))
		return true
	}
	_ = s.client.CloseWrite()
	_ = s.client.SetReadDeadline(time.Now().Add(s.r.opts.LingerTimeout))
	return false
}

// see follows a plain session's messages, to learn its cancel key and where the router may speak.
func (s *session) see(p []byte) {
	if s.encrypted.Load() {
		return
	}
	had := s.frames.ready
	s.frames.feed(p)
	if had {
		return
	}
	if key, ok := s.frames.cancelKey(); ok {
		s.r.remember(key, s)
	}
}

// close ends both connections in the manner that the end calls for.
func (s *session) close(writable bool) {
	why := s.ended()
	_ = s.server.Close()
	s.r.forget(s, why)
	switch {
	case writable && !s.encrypted.Load() && s.frames.between():
		farewell(s.client, why.notice())
	case why != reasonClient && why != reasonBackend:
		reset(s.client)
	}
	_ = s.client.Close()
}

// writeError marks an error as the destination's.
type writeError struct{ error }

func (e writeError) Unwrap() error { return e.error }

// pass copies until src ends (nil), or either fails. see, when given, looks at the bytes before they are sent.
func pass(dst, src duplex, count *atomic.Int64, see func([]byte)) error {
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	for {
		n, err := src.Read(buf[:])
		if n > 0 {
			if see != nil {
				see(buf[:n])
			}
			if _, werr := dst.Write(buf[:n]); werr != nil {
				return writeError{werr}
			}
			count.Add(int64(n))
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

const bufferSize = 16 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}
