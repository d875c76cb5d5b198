package proxy

import "encoding/binary"

// framer follows the messages that a server sends on a plain session, so that the router knows when it may speak itself
// (only between two messages), and learns the session's cancel key. It keeps no message, only where in one the stream is.
type framer struct {
	head [5]byte // type and length of the message that is arriving
	n    int     // how much of head is there
	left int     // bytes of the message's body still to come
	lost bool    // the stream was not followed throughout: nothing is known any more

	status byte // of the last ReadyForQuery: 'I' idle, 'T' in a transaction, 'E' in a failed one

	key   []byte // BackendKeyData's body as far as it came
	ready bool   // the first ReadyForQuery has passed: no key will come

	worked bool // a second one has: a statement was answered
}

// feed follows p, the next bytes from the server.
func (f *framer) feed(p []byte) {
	for len(p) > 0 && !f.lost {
		if f.left > 0 {
			p = f.body(p)
			continue
		}
		k := copy(f.head[f.n:], p)
		f.n, p = f.n+k, p[k:]
		if f.n == len(f.head) {
			f.begin()
		}
	}
}

// body passes over as much of the present message as p holds.
func (f *framer) body(p []byte) []byte {
	k := min(f.left, len(p))
	if f.head[0] == 'K' && !f.ready && len(f.key)+k <= 4+maxCancelKey {
		f.key = append(f.key, p[:k]...)
	}
	if f.head[0] == 'Z' && k > 0 {
		f.status = p[k-1]
	}
	f.left -= k
	return p[k:]
}

// begin is called with a complete header.
func (f *framer) begin() {
	size := binary.BigEndian.Uint32(f.head[1:])
	if size < 4 || size > 1<<30 {
		f.lost = true // PostgreSQL's messages are at most 1 GiB; this is not its protocol
		return
	}
	f.n, f.left = 0, int(size)-4
	if f.head[0] == 'Z' {
		f.worked = f.ready
		f.ready = true
	}
}

// lose is called when bytes pass unseen, as they do when the kernel splices.
func (f *framer) lose() { f.lost = true }

// between says whether the stream stands between two messages.
func (f *framer) between() bool { return !f.lost && f.n == 0 && f.left == 0 }

// idle says whether the server's last word was that it waits for the next statement, with no transaction open.
func (f *framer) idle() bool { return f.between() && f.head[0] == 'Z' && f.status == 'I' }

// cancelKey is the key that a cancel request for this session carries: process id and secret. It is known once the whole
// message has passed.
func (f *framer) cancelKey() (string, bool) {
	done := len(f.key) >= 8 && (f.ready || f.head[0] != 'K' || f.left == 0)
	return string(f.key), done
}
