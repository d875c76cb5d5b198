package raftstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"

	"quorate/internal/freeport"
	"quorate/internal/soon"
)

// wires is the network between the members of a test: it knows who dials whom and can cut them apart.
type wires struct {
	mu    sync.Mutex
	owner map[string]int // address -> member
	cut   map[[2]int]bool
	conns map[net.Conn][2]int
	// hole is the pairs between which bytes stay on the way, with no word of it to either end.
	hole   map[[2]int]bool
	mended chan struct{} // closed and replaced when holes are mended
}

func newWires() *wires {
	return &wires{
		owner: map[string]int{}, cut: map[[2]int]bool{}, conns: map[net.Conn][2]int{},
		hole: map[[2]int]bool{}, mended: make(chan struct{}),
	}
}

var errCut = errors.New("the wire is cut")

func (w *wires) dial(from int) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, addr string) (net.Conn, error) {
		w.mu.Lock()
		to := w.owner[addr]
		cut, hole := w.cut[[2]int{from, to}], w.hole[[2]int{from, to}]
		w.mu.Unlock()
		if cut {
			return nil, errCut
		}
		if hole {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.cut[[2]int{from, to}] {
			c.Close()
			return nil, errCut
		}
		w.conns[c] = [2]int{from, to}
		return &holeConn{Conn: c, wires: w, pair: [2]int{from, to}, closed: make(chan struct{})}, nil
	}
}

// swallow makes all bytes between a and bs stay on the way, or lets them go on.
func (w *wires) swallow(on bool, a int, bs ...int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range bs {
		w.hole[[2]int{a, b}], w.hole[[2]int{b, a}] = on, on
	}
	close(w.mended)
	w.mended = make(chan struct{})
}

// holeConn is a connection that the test may swallow. It is the dialing end, and holds back both directions.
type holeConn struct {
	net.Conn
	wires  *wires
	pair   [2]int
	once   sync.Once
	closed chan struct{}

	mu       sync.Mutex
	deadline time.Time
}

func (c *holeConn) pass() error {
	for {
		c.wires.mu.Lock()
		swallowed, mended := c.wires.hole[c.pair], c.wires.mended
		c.wires.mu.Unlock()
		if !swallowed {
			return nil
		}
		c.mu.Lock()
		deadline := c.deadline
		c.mu.Unlock()
		wait := time.Hour
		if !deadline.IsZero() {
			wait = time.Until(deadline)
		}
		select {
		case <-mended:
		case <-c.closed:
			return net.ErrClosed
		case <-time.After(min(wait, 50*time.Millisecond)):
			if wait <= 0 {
				return os.ErrDeadlineExceeded
			}
		}
	}
}

func (c *holeConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if perr := c.pass(); perr != nil {
		return 0, perr
	}
	return n, err
}

func (c *holeConn) Write(b []byte) (int, error) {
	if err := c.pass(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *holeConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	c.deadline = t
	c.mu.Unlock()
	return c.Conn.SetDeadline(t)
}

func (c *holeConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	c.deadline = t
	c.mu.Unlock()
	return c.Conn.SetWriteDeadline(t)
}

func (c *holeConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// set cuts or mends the wires between a and every b, both ways.
func (w *wires) set(cut bool, a int, bs ...int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range bs {
		w.cut[[2]int{a, b}], w.cut[[2]int{b, a}] = cut, cut
	}
	for c, pair := range w.conns {
		if w.cut[pair] {
			c.Close()
			delete(w.conns, c)
		}
	}
}

// member is one member of a test's cluster; it can be closed and opened again over the same folder and address.
type member struct {
	opts  Options
	store *Store
}

type cluster struct {
	t       testing.TB
	wires   *wires
	expect  int
	mu      sync.Mutex
	members []*member
	adjust  func(i int, o *Options)
}

func testLogger(t testing.TB) *slog.Logger {
	if os.Getenv("RAFTSTORE_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("test", t.Name())
}

// newCluster makes n members, not yet opened, that found a cluster of n.
func newCluster(t testing.TB, n int, adjust func(i int, o *Options)) *cluster {
	t.Helper()
	c := &cluster{t: t, wires: newWires(), expect: n, adjust: adjust}
	for range n {
		c.add(n)
	}
	t.Cleanup(func() {
		for i, m := range c.members {
			if m.store != nil {
				c.kill(i)
			}
		}
	})
	return c
}

// add makes one more member, not yet opened.
func (c *cluster) add(expect int) int {
	c.t.Helper()
	i := len(c.members)
	addr := freeport.Addr(c.t)
	o := Options{
		Dir: c.t.TempDir(), Name: fmt.Sprintf("n%d", i), Listen: addr, Expect: expect, MachineID: fmt.Sprintf("machine-%d", i),
		ClientURLs: []string{fmt.Sprintf("http://127.0.0.1:%d", 20000+i)}, Dial: c.wires.dial(i), Peers: c.peers,
		// On a busy machine a leader under the race detector is late for the default timers, and resigns.
		ElectionTimeout: raceSlows * DefaultElectionTimeout, Logger: testLogger(c.t).With("node", i),
	}
	if c.adjust != nil {
		c.adjust(i, &o)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wires.mu.Lock()
	c.wires.owner[addr] = i
	c.wires.mu.Unlock()
	c.members = append(c.members, &member{opts: o})
	return i
}

// peers is what discovery would show: addresses of all members.
func (c *cluster) peers() []Peer {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []Peer
	for _, m := range c.members {
		list = append(list, Peer{PeerAddr: m.opts.Listen})
	}
	return list
}

func (c *cluster) open(is ...int) {
	c.t.Helper()
	for _, i := range is {
		s, err := Open(c.members[i].opts)
		if err != nil {
			c.t.Fatalf("open %d: %v", i, err)
		}
		c.members[i].store = s
	}
}

func (c *cluster) openAll() {
	c.t.Helper()
	for i := range c.members {
		c.open(i)
	}
}

// kill ends a member as if its process had been killed: nothing is handed over.
func (c *cluster) kill(i int) {
	c.t.Helper()
	s := c.members[i].store
	c.members[i].store = nil
	s.closing.Do(func() {
		s.cancel()
		close(s.done)
		s.closeErr = s.shut()
	})
	if s.closeErr != nil {
		c.t.Fatalf("kill %d: %v", i, s.closeErr)
	}
}

func (c *cluster) store(i int) *Store { return c.members[i].store }

// waitFor polls until ok, or fails the test.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	soon.True(t, 90*time.Second, what, ok)
}

// waitReady waits until the members serve requests and know a leader.
func (c *cluster) waitReady(is ...int) {
	c.t.Helper()
	for _, i := range is {
		waitFor(c.t, fmt.Sprintf("member %d is ready", i), func() bool { return c.store(i).Health() == nil })
	}
}

// leader waits for a leader among the members that run and are given (all when none is), and returns it.
func (c *cluster) leader(among ...int) int {
	c.t.Helper()
	found := -1
	waitFor(c.t, "a leader", func() bool {
		for i, m := range c.members {
			if m.store != nil && (len(among) == 0 || slices.Contains(among, i)) && m.store.IsLeader() {
				found = i
				return true
			}
		}
		return false
	})
	return found
}

func (c *cluster) others(i int) []int {
	var list []int
	for j, m := range c.members {
		if j != i && m.store != nil {
			list = append(list, j)
		}
	}
	return list
}

// started founds a cluster of n and waits until it serves.
func started(t testing.TB, n int, adjust func(i int, o *Options)) *cluster {
	t.Helper()
	c := newCluster(t, n, adjust)
	c.openAll()
	for i := range n {
		c.waitReady(i)
	}
	return c
}

// patiently repeats what fails with "no leader", which means that nothing was done: on a busy machine a leader may lose
// its lease at any time.
func patiently[T any](t testing.TB, f func() (T, error)) (v T, err error) {
	t.Helper()
	waitFor(t, "an answer other than that there is no leader", func() bool {
		v, err = f()
		return !errors.Is(err, etcderrors.ErrNoLeader)
	})
	return v, err
}

// put writes a key. It is written again when a leader went before it could say what became of it.
func (c *cluster) put(i int, key, value string) *pb.PutResponse {
	c.t.Helper()
	resp, err := patiently(c.t, func() (*pb.PutResponse, error) {
		resp, err := c.store(i).Put(c.t.Context(), &pb.PutRequest{Key: []byte(key), Value: []byte(value)})
		if errors.Is(err, etcderrors.ErrTimeoutDueToLeaderFail) || errors.Is(err, etcderrors.ErrTimeout) {
			err = etcderrors.ErrNoLeader
		}
		return resp, err
	})
	if err != nil {
		c.t.Fatalf("put %s on %d: %v", key, i, err)
	}
	return resp
}

// putEventually retries a put while the cluster changes its leader.
func (c *cluster) putEventually(i int, key, value string) {
	c.t.Helper()
	waitFor(c.t, "put "+key, func() bool {
		_, err := c.store(i).Put(c.t.Context(), &pb.PutRequest{Key: []byte(key), Value: []byte(value)})
		return err == nil
	})
}

func (c *cluster) get(i int, key string) string {
	c.t.Helper()
	resp, err := patiently(c.t, func() (*pb.RangeResponse, error) {
		return c.store(i).Range(c.t.Context(), &pb.RangeRequest{Key: []byte(key)})
	})
	if err != nil {
		c.t.Fatalf("get %s on %d: %v", key, i, err)
	}
	if len(resp.Kvs) == 0 {
		return ""
	}
	return string(resp.Kvs[0].Value)
}

// settle waits until all members that run have applied the same.
func (c *cluster) settle() {
	c.t.Helper()
	waitFor(c.t, "all members to have applied the same", func() bool {
		want := c.store(c.leader()).state.progress.current()
		for _, m := range c.members {
			if m.store != nil && m.store.state.progress.current() != want {
				return false
			}
		}
		return true
	})
}
