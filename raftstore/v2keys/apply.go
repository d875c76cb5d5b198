package v2keys

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v2error"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v2store"
)

// Result is what became of a command: an event, or the reason why there is none. That of an expiry is empty.
type Result struct {
	Event *v2store.Event
	Err   *v2error.Error
}

// Apply applies a stamped command. The error says that the command cannot be read, which no log of ours contains.
func (k *Keys) Apply(cmd []byte, mono time.Duration) (Result, error) {
	c, err := decode(cmd)
	if err != nil {
		return Result{}, err
	}
	k.mu.Lock()
	k.clock.observe(c.Time, mono)
	tree := k.tree
	if c.TTL != nil {
		k.ends.add(c.Time + clusterTime(*c.TTL))
	}
	if c.Method == expire {
		k.ends.drop(c.Time)
	}
	k.mu.Unlock()
	if c.Method == expire {
		tree.DeleteExpiredKeys(c.Time.time())
		return Result{}, nil
	}
	event, err := change(tree, c)
	if err == nil {
		return Result{Event: event}, nil
	}
	var refusal *v2error.Error
	if !errors.As(err, &refusal) {
		return Result{}, err
	}
	return Result{Err: refusal}, nil
}

// change maps a request to the tree's operations, by etcd's rules.
func change(tree v2store.Store, c command) (*v2store.Event, error) {
	ttl := c.ttl()
	compares := c.PrevIndex > 0 || c.PrevValue != ""
	switch c.Method {
	case Post:
		return tree.Create(c.Path, c.Dir, c.Value, true, ttl)
	case Delete:
		if compares {
			return tree.CompareAndDelete(c.Path, c.PrevValue, c.PrevIndex)
		}
		return tree.Delete(c.Path, c.Dir, c.Recursive)
	case Put:
		switch {
		case c.PrevExist != nil && !*c.PrevExist:
			return tree.Create(c.Path, c.Dir, c.Value, false, ttl)
		case compares:
			return tree.CompareAndSwap(c.Path, c.PrevValue, c.PrevIndex, c.Value, ttl)
		case c.PrevExist != nil:
			return tree.Update(c.Path, c.Value, ttl)
		}
		return tree.Set(c.Path, c.Dir, c.Value, ttl)
	}
	return nil, fmt.Errorf("v2 command: unknown method %q", c.Method)
}

func (c command) ttl() v2store.TTLOptionSet {
	opts := v2store.TTLOptionSet{Refresh: c.Refresh, ExpireTime: v2store.Permanent}
	if c.TTL != nil {
		opts.ExpireTime = (c.Time + clusterTime(*c.TTL)).time()
	}
	return opts
}

// wireResult is a Result between nodes.
type wireResult struct {
	Event *v2store.Event `json:"event,omitempty"`
	// Index travels beside the event, whose own JSON leaves it out.
	Index uint64         `json:"index,omitempty"`
	Err   *v2error.Error `json:"err,omitempty"`
}

// EncodeResult is a Result for the node that waits for it.
func EncodeResult(r Result) ([]byte, error) {
	w := wireResult{Event: r.Event, Err: r.Err}
	if r.Event != nil {
		w.Index = r.Event.EtcdIndex
	}
	return json.Marshal(w)
}

// DecodeResult is its inverse.
func DecodeResult(b []byte) (Result, error) {
	var w wireResult
	if err := json.Unmarshal(b, &w); err != nil {
		return Result{}, fmt.Errorf("v2 result: %w", err)
	}
	if w.Event != nil {
		w.Event.EtcdIndex = w.Index
	}
	return Result{Event: w.Event, Err: w.Err}, nil
}
