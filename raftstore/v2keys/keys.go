package v2keys

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v2store"
)

// Keys is the key space on one node. Its methods may be called from several goroutines; Apply, Save and Recover are the
// state machine's and come one at a time, in the order of the log.
type Keys struct {
	mu    sync.Mutex // guards the fields below
	tree  v2store.Store
	clock clock
	ends  deadlines
	gone  chan struct{} // closed when tree is replaced
}

// New is an empty key space.
func New() *Keys {
	return &Keys{tree: v2store.New(), gone: make(chan struct{})}
}

// Index is the index of the last change.
func (k *Keys) Index() uint64 { return k.current().Index() }

// Now is cluster time as the expirations in events and nodes have it, at a monotonic reading.
func (k *Keys) Now(mono time.Duration) time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.clock.now(mono).time()
}

// Stats is the counters of operations as JSON, which /v2/stats/store shows.
func (k *Keys) Stats() []byte { return k.current().JsonStats() }

// Get reads a node as this node has it. The error is a *v2error.Error.
func (k *Keys) Get(path string, recursive, sorted bool) (*v2store.Event, error) {
	return k.current().Get(path, recursive, sorted)
}

func (k *Keys) current() v2store.Store {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.tree
}

// Tick is called by the leader, more often than once a second.
func (k *Keys) Tick(mono time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.clock.tick(mono)
}

// Stamp puts the time into a command. The leader does it, and nobody else.
func (k *Keys) Stamp(cmd []byte, mono time.Duration) ([]byte, error) {
	c, err := decode(cmd)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	c.Time = k.clock.now(mono)
	k.mu.Unlock()
	return json.Marshal(c)
}

// Expire is the command that ends the keys whose time has come, or false when there is none. The leader proposes it.
func (k *Keys) Expire(mono time.Duration) (cmd []byte, due bool) {
	k.mu.Lock()
	now := k.clock.now(mono)
	due = k.ends.due(now)
	k.mu.Unlock()
	if !due {
		return nil, false
	}
	cmd, err := json.Marshal(command{Request: Request{Method: expire}, Time: now})
	return cmd, err == nil
}

// state is what Save saves. History is in Tree: a watch from an index before the snapshot finds its events.
type state struct {
	Time clusterTime     `json:"time"`
	Tree json.RawMessage `json:"tree"`
}

// Save is the whole state.
func (k *Keys) Save() ([]byte, error) {
	k.mu.Lock()
	tree, now := k.tree, k.clock.last
	k.mu.Unlock()
	b, err := tree.Save()
	if err != nil {
		return nil, fmt.Errorf("saving the v2 keys: %w", err)
	}
	return json.Marshal(state{Time: now, Tree: b})
}

// Recover replaces the whole state by a saved one and ends all watches. After an error nothing has changed.
func (k *Keys) Recover(saved []byte, mono time.Duration) error {
	var s state
	if err := json.Unmarshal(saved, &s); err != nil {
		return fmt.Errorf("recovering the v2 keys: %w", err)
	}
	ends, err := savedDeadlines(s.Tree)
	if err != nil {
		return fmt.Errorf("recovering the v2 keys: %w", err)
	}
	// Into a new tree: Recovery merges into the one that it is called on.
	tree := v2store.New()
	if err := tree.Recovery(s.Tree); err != nil {
		return fmt.Errorf("recovering the v2 keys: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.gone)
	k.gone = make(chan struct{})
	k.tree, k.ends, k.clock = tree, ends, clock{last: s.Time, at: mono}
	return nil
}
