package proxy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// outcome is how a conversation with one server went, as far as opening a session is concerned.
type outcome int

const (
	opened    outcome = iota // the session is ready to be relayed
	again                    // the server failed before it said anything to the client: look for another
	gone                     // there is no client to go on for
	cancelled                // the packet turned out to be a cancel request
)

const (
	maxFirstError = 8 << 10     // a server's first message when it is an error is read whole, up to this
	patience      = time.Second // for a first answer, before it is worth watching whether the client still waits
)

// converse passes the client's packets on and the server's answers back until the session is open or will not be. Encryption
// requests that a server before this one has refused are repeated, so that this one is where that one was.
func (o *opening) converse(s *session) outcome {
	for _, p := range o.refused {
		answer, err := o.request(s, p)
		if err == nil && answer != 'N' {
			err = fmt.Errorf("%s answers %q to an encryption request that another server refused", s.backend.Name, answer)
		}
		if err != nil {
			return o.failed(s, err)
		}
	}
	for {
		switch o.packet.kind {
		case startCancel:
			return cancelled
		case startSession:
			return o.login(s)
		case startDirectTLS:
			return o.encrypt(s, o.packet.raw)
		}
		answer, err := o.request(s, o.packet)
		if err != nil {
			return o.failed(s, err)
		}
		if _, err := s.client.Write([]byte{answer}); err != nil {
			return gone
		}
		s.flow.Add(int64(len(o.packet.raw)), 1)
		switch answer {
		case 'S', 'G':
			return o.encrypt(s, nil)
		case 'N':
			o.refused = append(o.refused, o.packet)
			if o.packet, err = o.in.next(o.r.opts().StartTimeout); err != nil {
				return gone
			}
		default: // an error message has begun; it and the end are the server's
			s.Seen([]byte{answer})
			return opened
		}
	}
}

// failed notes what a server did, and decides whether the client's search goes on.
func (o *opening) failed(s *session, err error) outcome {
	if why := s.ended(); why == reasonKilled {
		return gone
	} else if why == "" { // else it was we who shut the connection, for a reason that says nothing against the server
		o.last = err.Error()
		o.r.suspect(o.l, s.backend, err)
	}
	return again
}

// request sends an encryption request and reads the one byte that answers it.
func (o *opening) request(s *session, p start) (answer byte, err error) {
	if err := s.server.SetDeadline(time.Now().Add(o.r.opts().StartTimeout)); err != nil {
		return 0, err
	}
	if _, err := s.server.Write(p.raw); err != nil {
		return 0, err
	}
	var one [1]byte
	if _, err := io.ReadFull(s.server, one[:]); err != nil {
		return 0, fmt.Errorf("answer to an encryption request: %w", err)
	}
	return one[0], s.server.SetDeadline(time.Time{})
}

// encrypt makes s a session of which nothing is visible, and passes what the client has sent already.
func (o *opening) encrypt(s *session, packet []byte) outcome {
	s.encrypted.Store(true)
	if packet = append(packet, o.in.rest()...); len(packet) == 0 {
		return opened
	}
	if _, err := s.server.Write(packet); err != nil {
		return o.failed(s, err)
	}
	s.flow.Add(int64(len(packet)), 0)
	return opened
}

// login passes the startup message and looks at the first answer: as long as that is a server's "not now", the client need not know.
func (o *opening) login(s *session) outcome {
	s.note(o.packet)
	if _, err := s.server.Write(o.packet.raw); err != nil {
		return o.failed(s, err)
	}
	s.flow.Add(int64(len(o.packet.raw)), 0)
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	n, err := o.firstAnswer(s, buf[:])
	if errors.Is(err, errHangup) {
		return gone
	}
	if err != nil {
		return o.failed(s, fmt.Errorf("%s gave no answer: %w", s.backend.Name, err))
	}
	if state, message := sqlState(buf[:n]); state == stateCannotConnectNow {
		return o.failed(s, fmt.Errorf("%s: %s", s.backend.Name, message))
	}
	s.Seen(buf[:n])
	if _, err := s.client.Write(buf[:n]); err != nil {
		return gone
	}
	s.flow.Add(0, int64(n))
	if rest := o.in.rest(); len(rest) > 0 {
		s.flow.Add(int64(len(rest)), 0)
		_, _ = s.server.Write(rest) // a failure shows again where the session is relayed
	}
	return opened
}

// firstAnswer reads what the server says first; of an error, the whole message.
func (o *opening) firstAnswer(s *session, buf []byte) (n int, err error) {
	if err := s.server.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	n, err = s.server.Read(buf)
	_ = s.server.SetReadDeadline(time.Time{})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		n, err = o.watchedRead(s, buf)
	}
	if err != nil || !unfinishedError(buf[:n]) {
		return n, err
	}
	_ = s.server.SetReadDeadline(time.Now().Add(o.r.opts().StartTimeout)) // who has begun to refuse is not at work on the login
	for err == nil && n < len(buf) && unfinishedError(buf[:n]) {
		var more int
		more, err = s.server.Read(buf[n:])
		n += more
	}
	_ = s.server.SetReadDeadline(time.Time{})
	return n, err
}

// watchedRead reads without a limit in time, for logins can take long, but not for a client that is no longer there.
func (o *opening) watchedRead(s *session, buf []byte) (int, error) {
	tune(s.client, o.r.opts().TCP)
	tune(s.server, o.r.opts().TCP)
	var hungUp error
	stop := watchHangup(s.client, func() {
		hungUp = errHangup
		shut(s.server)
	})
	n, err := s.server.Read(buf)
	stop()
	if hungUp != nil {
		return 0, hungUp
	}
	return n, err
}

// unfinishedError says whether p is the beginning of an ErrorResponse that is worth reading to its end.
func unfinishedError(p []byte) bool {
	if len(p) == 0 || p[0] != 'E' {
		return false
	}
	if len(p) < 5 {
		return true
	}
	size := int(binary.BigEndian.Uint32(p[1:])) + 1
	return size <= maxFirstError && len(p) < size
}

const bufferSize = 16 << 10

// buffers are for first answers; sessions that run need none.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}
