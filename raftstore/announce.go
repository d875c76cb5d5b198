package raftstore

import (
	"sync"

	"github.com/hashicorp/raft"
)

// announcer tells followers at once that an entry is committed. hashicorp/raft tells them with the next entry or, when
// none comes, after a commit timeout, 50 to 100 ms by default; until then a follower's watches see nothing and a write
// that it forwarded waits.
//
// It sends an ordinary AppendEntries without entries, with the committed entry as the previous one and as the commit
// index. Such a message is true whoever sends it: a log that holds that entry may be committed up to it (log matching).
// The index never exceeds the previous entry's, because the library commits up to the end of the follower's log, and what
// lies there beyond the entry that was compared may be another leader's. A follower that knows a newer term refuses.
type announcer struct {
	trans   *transport
	self    raft.Server
	targets func() []raft.Server // the other servers
	// term is the newest term that this node led, 0 for none. It need not lead any more: nobody else ever leads that term.
	term func() uint64

	mu     sync.Mutex // guards latest and busy
	latest committed
	busy   map[raft.ServerID]bool
	wg     sync.WaitGroup
}

// committed is a committed entry.
type committed struct {
	index, term uint64
}

// committed is called with the last entry of each batch that this node is about to apply. It does not block.
func (a *announcer) committed(c committed) {
	leading := a.term()
	a.mu.Lock()
	defer a.mu.Unlock()
	if c.index <= a.latest.index {
		return
	}
	a.latest = c
	for _, s := range a.targets() {
		a.kick(s, leading)
	}
}

// acked is called when a follower stored entries: the commit may have been known before it did.
func (a *announcer) acked(s raft.Server) {
	leading := a.term()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.kick(s, leading)
}

// kick starts the goroutine that brings a follower up to latest, unless it runs; a.mu is held.
func (a *announcer) kick(s raft.Server, leading uint64) {
	if a.busy[s.ID] || leading == 0 || a.latest.index == 0 {
		return
	}
	a.busy[s.ID] = true
	a.wg.Go(func() { a.run(s, leading) })
}

func (a *announcer) run(s raft.Server, leading uint64) {
	for {
		a.mu.Lock()
		c := a.latest
		if !a.trans.shouldAnnounce(s.ID, leading, c.index) {
			a.busy[s.ID] = false
			a.mu.Unlock()
			return
		}
		a.mu.Unlock()
		if a.send(s, leading, c) != nil {
			a.mu.Lock()
			a.busy[s.ID] = false
			a.mu.Unlock()
			return // Raft's own replication will tell it
		}
	}
}

func (a *announcer) send(s raft.Server, leading uint64, c committed) error {
	req := &raft.AppendEntriesRequest{
		RPCHeader: raft.RPCHeader{
			ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(a.self.ID), Addr: []byte(a.self.Address),
		},
		Term:         leading,
		PrevLogEntry: c.index, PrevLogTerm: c.term, LeaderCommitIndex: c.index,
	}
	var resp raft.AppendEntriesResponse
	if err := a.trans.NetworkTransport.AppendEntries(s.ID, s.Address, req, &resp); err != nil {
		return err
	}
	if !resp.Success {
		return errStaleTerm
	}
	a.trans.announcedTo(s.ID, leading, c.index)
	return nil
}

// shouldAnnounce says whether a follower holds an entry of which it was not told that it is committed.
func (t *transport) shouldAnnounce(id raft.ServerID, term, index uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peer(id)
	return p.term == term && p.match >= index && p.announced < index
}

func (t *transport) announcedTo(id raft.ServerID, term, index uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.peer(id); p.term == term {
		p.announced = max(p.announced, index)
	}
}

// wait returns when no announcement is on its way.
func (a *announcer) wait() { a.wg.Wait() }
