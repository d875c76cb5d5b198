package dcsclient_test

import (
	"net"
	"sync"
	"testing"
)

// relay forwards connections to a host. It can refuse them, as a host whose process is gone does, or swallow what is sent
// in either direction, as a cut network does.
type relay struct {
	t      *testing.T
	target string
	listen net.Listener

	mu        sync.Mutex // guards the fields below
	conns     map[net.Conn]struct{}
	down      bool
	swallowUp bool          // towards the host
	swallowed chan struct{} // closed when the first bytes towards the host have been swallowed
	mute      bool          // towards the client
	bytes     int           // carried, both ways
	wg        sync.WaitGroup
}

func newRelay(t *testing.T, target string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{t: t, target: target, listen: l, conns: map[net.Conn]struct{}{}, swallowed: make(chan struct{})}
	r.wg.Go(r.accept)
	return r
}

func (r *relay) addr() string { return r.listen.Addr().String() }

func (r *relay) accept() {
	for {
		in, err := r.listen.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", r.target)
		if err != nil || !r.keep(in, out) {
			in.Close()
			if out != nil {
				out.Close()
			}
			continue
		}
		r.wg.Go(func() { r.copy(out, in, true) })
		r.wg.Go(func() { r.copy(in, out, false) })
	}
}

func (r *relay) keep(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return false
	}
	for _, c := range conns {
		r.conns[c] = struct{}{}
	}
	return true
}

func (r *relay) copy(to, from net.Conn, up bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		r.mu.Lock()
		r.bytes += n
		r.mu.Unlock()
		if r.swallows(up) {
			continue
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// carried is how many bytes have come, from either side.
func (r *relay) carried() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bytes
}

func (r *relay) swallows(up bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !up {
		return r.mute
	}
	if r.swallowUp {
		select {
		case <-r.swallowed:
		default:
			close(r.swallowed)
		}
	}
	return r.swallowUp
}

// stop refuses connections and ends those that are there.
func (r *relay) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = true
	for c := range r.conns {
		c.Close()
	}
}

func (r *relay) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = false
}

// cut swallows everything from now on, in both directions.
func (r *relay) cut() { r.set(true, true) }

// muteAnswers lets requests through and swallows what the host says.
func (r *relay) muteAnswers() { r.set(false, true) }

func (r *relay) set(swallowUp, mute bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.swallowUp, r.mute = swallowUp, mute
}

func (r *relay) close() {
	r.listen.Close()
	r.stop()
	r.wg.Wait()
}
