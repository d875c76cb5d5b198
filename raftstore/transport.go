package raftstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// serverID is a member's id as Raft's configuration has it.
func serverID(id uint64) raft.ServerID { return raft.ServerID(fmt.Sprintf("%016x", id)) }

func memberID(id raft.ServerID) uint64 {
	n, err := strconv.ParseUint(string(id), 16, 64)
	if err != nil {
		return 0
	}
	return n
}

// raftAddr is a server's address in Raft's configuration: "id@host:port". The id is there so that whoever answers at the
// address can be asked for it, see greeting.
func raftAddr(id uint64, addr string) raft.ServerAddress {
	return raft.ServerAddress(string(serverID(id)) + "@" + addr)
}

// hostPort is the part of a raftAddr to dial.
func hostPort(a raft.ServerAddress) string {
	_, addr, _ := strings.Cut(string(a), "@")
	return addr
}

// stream is Raft's StreamLayer over the peer port.
type stream struct {
	port   *peerPort
	dialer *dialer
	greet  func(to uint64) greeting
	addr   raft.ServerAddress
}

type peerAddr string

func (a peerAddr) Network() string { return "tcp" }
func (a peerAddr) String() string  { return string(a) }

func (s *stream) Accept() (net.Conn, error) {
	select {
	case c := <-s.port.raft:
		return c, nil
	case <-s.port.done:
		return nil, net.ErrClosed
	}
}

// Close does nothing: the peer port outlives Raft's transport.
func (s *stream) Close() error   { return nil }
func (s *stream) Addr() net.Addr { return peerAddr(s.addr) }

// Dial opens a connection for Raft.
func (s *stream) Dial(target raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	id, addr, ok := strings.Cut(string(target), "@")
	if !ok {
		return nil, fmt.Errorf("raft target %q has no member id", target)
	}
	ctx, cancel := context.WithTimeout(background, timeout)
	defer cancel()
	g := s.greet(memberID(raft.ServerID(id)))
	g.Proto = protoRaft
	return s.dialer.open(ctx, addr, g)
}

// transport is Raft's transport with our guards around it. It withholds heartbeats while this node's log disk hangs, waits
// for a peer that is away instead of failing, and announces commits.
type transport struct {
	*raft.NetworkTransport
	// local feeds Raft what we tell it ourselves; consumer is what Raft reads.
	local    chan raft.RPC
	consumer chan raft.RPC

	stalled func() bool            // is the own log disk hanging?
	leads   func(term uint64) bool // does this node still lead in term?
	acked   func(raft.Server)      // a follower stored entries
	saved   func(uint64) error     // waits until an entry is on the own log disk
	listed  func(raft.Server) bool // is the server still in the configuration, at that address?
	beat    func()                 // a leader's heartbeat came
	period  time.Duration          // between two heartbeats to a peer
	closing chan struct{}          // closed when the store closes
	once    sync.Once
	mu      sync.Mutex // guards peers
	peers   map[raft.ServerID]*peerProgress
}

// peerProgress is what the leader's traffic with a follower tells.
type peerProgress struct {
	term      uint64        // in which the numbers below hold
	match     uint64        // the follower's log agrees with ours up to here
	announced uint64        // the follower was told that the log is committed up to here
	alive     chan struct{} // closed, and replaced, at each successful heartbeat
	heard     time.Time     // of the last success of any kind
	beat      time.Time     // when the last heartbeat was sent
}

var (
	errDiskStalled = errors.New("raftstore: heartbeat withheld: the log disk hangs")
	errAway        = errors.New("raftstore: the peer does not answer heartbeats")
	errOwnDisk     = errors.New("raftstore: the entries are not on this node's own disk")
	errNotListed   = errors.New("raftstore: the server is no longer addressed")
)

// idleRetry is how often a peer that is away is tried when no heartbeat tells that it is back.
const idleRetry = 200 * time.Millisecond

// beatsPerElection is how many heartbeats fit into an election timeout. The library sends 5 to 10 of them and has no setting of its own for that; at
// rest they are a large part of what a leader does. Four leave a follower three quarters of its timeout for a machine that stalls.
const beatsPerElection = 4

// snapshotPatience is how recently a peer must have answered to be sent a snapshot.
const snapshotPatience = time.Second

func newTransport(n *raft.NetworkTransport) *transport {
	t := &transport{
		NetworkTransport: n, local: make(chan raft.RPC), consumer: make(chan raft.RPC),
		closing: make(chan struct{}), peers: map[raft.ServerID]*peerProgress{},
	}
	go t.pump()
	return t
}

// pump joins what comes from the network with what we say ourselves.
func (t *transport) pump() {
	for {
		var rpc raft.RPC
		select {
		case rpc = <-t.NetworkTransport.Consumer():
		case rpc = <-t.local:
		case <-t.closing:
			return
		}
		select {
		case t.consumer <- rpc:
		case <-t.closing:
			return
		}
	}
}

// Consumer implements raft.Transport.
func (t *transport) Consumer() <-chan raft.RPC { return t.consumer }

// Close implements raft.WithClose.
func (t *transport) Close() error {
	t.once.Do(func() { close(t.closing) })
	return t.NetworkTransport.Close()
}

// SetHeartbeatHandler implements raft.Transport.
func (t *transport) SetHeartbeatHandler(handle func(raft.RPC)) {
	if handle == nil {
		t.NetworkTransport.SetHeartbeatHandler(nil)
		return
	}
	t.NetworkTransport.SetHeartbeatHandler(func(rpc raft.RPC) {
		t.beat()
		handle(rpc)
	})
}

// isHeartbeat recognises Raft's heartbeat as its own receiving side does.
func isHeartbeat(r *raft.AppendEntriesRequest) bool {
	return r.PrevLogEntry == 0 && r.PrevLogTerm == 0 && len(r.Entries) == 0 && r.LeaderCommitIndex == 0
}

// AppendEntries implements raft.Transport.
func (t *transport) AppendEntries(id raft.ServerID, addr raft.ServerAddress, req *raft.AppendEntriesRequest,
	resp *raft.AppendEntriesResponse) error {
	if isHeartbeat(req) {
		return t.heartbeat(id, addr, req, resp)
	}
	trim(req)
	for {
		alive := t.aliveChan(id)
		var err error
		if len(req.Entries) == 0 && t.stalled() {
			// It tells a follower what is committed, and counts as a heartbeat there: with timers longer than its period
			// nobody would ever be elected.
			err = errDiskStalled
		} else {
			err = t.NetworkTransport.AppendEntries(id, addr, req, resp)
		}
		if err == nil {
			if err := t.ownDisk(req, resp); err != nil {
				return err
			}
			if t.sent(id, req, resp) {
				t.acked(raft.Server{ID: id, Address: addr})
			}
			return nil
		}
		if err := t.await(raft.Server{ID: id, Address: addr}, req.Term, alive, err); err != nil {
			return err
		}
	}
}

// ownDisk waits, before Raft hears that a follower has stored entries, until this node has too: what Raft commits by that
// answer must be on this disk, as it believes (logStore.StoreLogs).
func (t *transport) ownDisk(req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	n := len(req.Entries)
	if n == 0 || !resp.Success {
		return nil
	}
	if err := t.saved(req.Entries[n-1].Index); err != nil {
		return fmt.Errorf("%w: %w", errOwnDisk, err)
	}
	if !t.leads(req.Term) {
		return errOwnDisk
	}
	return nil
}

// trim leaves entries for a later message when they are too large together: one message must get through within the transport's timeout. Raft
// takes what the request says, once it was answered, for what was sent.
func trim(req *raft.AppendEntriesRequest) {
	var size int64
	for i, l := range req.Entries {
		if size += logSize(l); size > maxAppendBytes && i > 0 {
			req.Entries = req.Entries[:i]
			return
		}
	}
}

// heartbeat sends a heartbeat, unless this node could not store an entry if it had one. The library's own heartbeats go on
// while the leader hangs in a write, so that nobody would ever elect another one (hashicorp/raft#503). Without them the
// followers elect one among themselves, and this node notices within its leader lease that it leads nobody.
func (t *transport) heartbeat(id raft.ServerID, addr raft.ServerAddress, req *raft.AppendEntriesRequest,
	resp *raft.AppendEntriesResponse) error {
	t.pace(id)
	if t.stalled() {
		return errDiskStalled
	}
	if err := t.NetworkTransport.AppendEntries(id, addr, req, resp); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peer(id)
	p.heard = time.Now()
	close(p.alive)
	p.alive = make(chan struct{})
	return nil
}

// pace waits until the next heartbeat to a peer is due.
func (t *transport) pace(id raft.ServerID) {
	t.mu.Lock()
	p := t.peer(id)
	wait := time.Until(p.beat.Add(t.period))
	p.beat = time.Now().Add(max(wait, 0))
	t.mu.Unlock()
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.closing:
	}
}

// await waits until a peer that did not answer should be tried again. Failing at once would make Raft back off, in the
// end for ten seconds and more, and a follower that came back would wait that long for its first entry. It gives up, with
// the error, when this node no longer leads in that term or the peer is no longer addressed.
func (t *transport) await(peer raft.Server, term uint64, alive <-chan struct{}, err error) error {
	timer := time.NewTimer(idleRetry)
	defer timer.Stop()
	select {
	case <-alive:
	case <-timer.C:
	case <-t.closing:
		return err
	}
	if !t.leads(term) {
		return err
	}
	if !t.listed(peer) {
		return fmt.Errorf("%w: %w", errNotListed, err)
	}
	return nil
}

// InstallSnapshot implements raft.Transport. It waits for a peer that is away before it sends: a failure would make Raft
// back off, as in AppendEntries, and the data can be read only once.
func (t *transport) InstallSnapshot(id raft.ServerID, addr raft.ServerAddress, req *raft.InstallSnapshotRequest,
	resp *raft.InstallSnapshotResponse, data io.Reader) error {
	for !t.heardWithin(id, snapshotPatience) {
		if err := t.await(raft.Server{ID: id, Address: addr}, req.Term, t.aliveChan(id), errAway); err != nil {
			return err
		}
	}
	return t.NetworkTransport.InstallSnapshot(id, addr, req, resp, data)
}

func (t *transport) heardWithin(id raft.ServerID, d time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Since(t.peer(id).heard) < d
}

// AppendEntriesPipeline implements raft.Transport. Pipelining wedged followers behind a slow disk (hashicorp/raft#612).
func (t *transport) AppendEntriesPipeline(raft.ServerID, raft.ServerAddress) (raft.AppendPipeline, error) {
	return nil, raft.ErrPipelineReplicationNotSupported
}

// peer returns the progress of a follower; t.mu is held.
func (t *transport) peer(id raft.ServerID) *peerProgress {
	p := t.peers[id]
	if p == nil {
		p = &peerProgress{alive: make(chan struct{})}
		t.peers[id] = p
	}
	return p
}

func (t *transport) aliveChan(id raft.ServerID) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.peer(id).alive
}

// sent notes what a follower answered; true when it stored entries.
func (t *transport) sent(id raft.ServerID, req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peer(id)
	p.heard = time.Now()
	if !resp.Success || req.Term < p.term {
		return false
	}
	if req.Term > p.term {
		p.term, p.match, p.announced = req.Term, 0, 0
	}
	match := req.PrevLogEntry
	if n := len(req.Entries); n > 0 {
		match = req.Entries[n-1].Index
	}
	p.match = max(p.match, match)
	p.announced = max(p.announced, min(match, req.LeaderCommitIndex))
	return len(req.Entries) > 0
}

// voteTries is how often a request for a vote is sent: the transport keeps connections, and the first ones it takes out
// may be to a process that has since restarted.
const voteTries = 3

// RequestVote implements raft.Transport.
func (t *transport) RequestVote(id raft.ServerID, addr raft.ServerAddress, req *raft.RequestVoteRequest,
	resp *raft.RequestVoteResponse) (err error) {
	for range voteTries {
		if err = t.NetworkTransport.RequestVote(id, addr, req, resp); err == nil {
			return nil
		}
	}
	return err
}

// RequestPreVote implements raft.WithPreVote.
func (t *transport) RequestPreVote(id raft.ServerID, addr raft.ServerAddress, req *raft.RequestPreVoteRequest,
	resp *raft.RequestPreVoteResponse) (err error) {
	for range voteTries {
		if err = t.NetworkTransport.RequestPreVote(id, addr, req, resp); err == nil {
			return nil
		}
	}
	return err
}

// progress returns how far a follower's log agrees with ours in term, and when it was last heard of.
func (t *transport) progress(id raft.ServerID, term uint64) (match uint64, heard time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peer(id)
	if p.term != term {
		return 0, p.heard
	}
	return p.match, p.heard
}

// say hands Raft a message of our own and waits for its answer.
func (t *transport) say(ctx context.Context, command any) error {
	done := make(chan raft.RPCResponse, 1)
	select {
	case t.local <- raft.RPC{Command: command, RespChan: done}:
	case <-t.closing:
		return raft.ErrRaftShutdown
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case r := <-done:
		return r.Error
	case <-t.closing:
		return raft.ErrRaftShutdown
	case <-ctx.Done():
		return ctx.Err()
	}
}

// campaign makes Raft stand for election at once, as the target of a leadership transfer does.
func (t *transport) campaign(ctx context.Context) error {
	return t.say(ctx, &raft.TimeoutNowRequest{
		RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax},
	})
}
