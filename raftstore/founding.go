package raftstore

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
)

// FounderSet is a named set of hosts that may found a cluster together. The name is random, so that no two proposals are
// ever the same; the members are ordered by id.
type FounderSet struct {
	Name    string   `json:"name"`
	Members []Member `json:"members"`
}

func (f *FounderSet) has(id uint64) bool {
	return slices.ContainsFunc(f.Members, func(m Member) bool { return m.ID == id })
}

// clusterID derives the cluster's id from the set's name, so that every founder knows it.
func (f *FounderSet) clusterID() uint64 {
	sum := sha256.Sum256([]byte("quorate cluster " + f.Name))
	return max(1, binary.BigEndian.Uint64(sum[:])>>1)
}

func (f *FounderSet) valid() error {
	if f.Name == "" || len(f.Members) == 0 {
		return errors.New("a founder set needs a name and members")
	}
	for i, m := range f.Members {
		if m.ID == 0 || m.PeerAddr == "" || (i > 0 && f.Members[i-1].ID >= m.ID) {
			return fmt.Errorf("founder set %s: its members must be ordered and complete", f.Name)
		}
	}
	return nil
}

// promiseFile keeps what a host that belongs to no cluster yet has promised.
const promiseFile = "founding.json"

// promises is a host's part in the founding. The rules, which together make sure that a host takes part in one founding
// at most and that two clusters never share a host:
//
//   - a host promises itself, on disk, to one founder set at a time, and only while it has no data;
//   - a set founds a cluster only when every one of its members has promised itself to it;
//   - a host that was asked to refuse a set and has not promised itself to it writes that down and keeps to it for ever;
//   - a host gives up a promise only when some member of that set has refused it, since the set can then found nothing;
//     a member whose folder was emptied counts as one that refuses (Store.emptied).
type promises struct {
	path string
	self uint64

	mu  sync.Mutex // guards rec
	rec promiseRecord
}

type promiseRecord struct {
	Promised *FounderSet `json:"promised,omitempty"`
	Refused  []string    `json:"refused,omitempty"`
	// Joining is set before this host asks a cluster to take it in. It promises itself to nothing from then on.
	Joining bool `json:"joining,omitempty"`
}

func loadPromises(dir string, self uint64) (*promises, error) {
	p := &promises{path: filepath.Join(dir, promiseFile), self: self}
	if err := readJSON(p.path, &p.rec); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return p, nil
}

// promised returns the set that this host is promised to, or nil.
func (p *promises) promised() *FounderSet {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rec.Promised
}

// answer is what a host says about a founder set.
type answer string

const (
	answerPromised answer = "promised" // it has promised itself to the set
	answerRefused  answer = "refused"  // it has not, and never will
	answerBusy     answer = "busy"     // it is promised to another set and says nothing about this one
	answerFounded  answer = "founded"  // it belongs to the cluster that the set founded
)

// reply is an answer and, with answerBusy, the set that the host is promised to.
type reply struct {
	Answer answer      `json:"answer"`
	Set    *FounderSet `json:"set,omitempty"`
}

// promise answers the invitation to a set.
func (p *promises) promise(set *FounderSet) (reply, error) {
	if err := set.valid(); err != nil {
		return reply{}, err
	}
	if !set.has(p.self) {
		return reply{}, fmt.Errorf("founder set %s does not name this host", set.Name)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.rec.Promised != nil && p.rec.Promised.Name == set.Name:
		return reply{Answer: answerPromised}, nil
	case p.rec.Joining, slices.Contains(p.rec.Refused, set.Name):
		return reply{Answer: answerRefused}, nil
	case p.rec.Promised != nil:
		return reply{Answer: answerBusy, Set: p.rec.Promised}, nil
	}
	next := p.rec
	next.Promised = set
	if err := p.save(next); err != nil {
		return reply{}, err
	}
	return reply{Answer: answerPromised}, nil
}

// join makes this host one that joins; false while it is promised to a set.
func (p *promises) join() (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rec.Promised != nil || p.rec.Joining {
		return p.rec.Joining, nil
	}
	next := p.rec
	next.Joining = true
	return true, p.save(next)
}

// refuse answers the request to refuse a set for ever.
func (p *promises) refuse(name string) (reply, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.rec.Promised != nil && p.rec.Promised.Name == name:
		return reply{Answer: answerPromised}, nil
	case p.rec.Joining, slices.Contains(p.rec.Refused, name):
		return reply{Answer: answerRefused}, nil
	}
	next := p.rec
	next.Refused = append(slices.Clone(next.Refused), name)
	if err := p.save(next); err != nil {
		return reply{}, err
	}
	return reply{Answer: answerRefused}, nil
}

// release gives up the promise to a set that a member of it has refused.
func (p *promises) release(name string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rec.Promised == nil || p.rec.Promised.Name != name {
		return nil
	}
	next := p.rec
	next.Promised = nil
	next.Refused = append(slices.Clone(next.Refused), name)
	return p.save(next)
}

// save writes a record and then takes it as the present one; p.mu is held.
func (p *promises) save(next promiseRecord) error {
	if err := writeJSON(p.path, next); err != nil {
		return fmt.Errorf("keep the promise: %w", err)
	}
	p.rec = next
	return nil
}

// verdict is what the answers of a set's members amount to.
type verdict int

const (
	verdictWait  verdict = iota // somebody has not answered, or is busy
	verdictFound                // all have promised: the cluster may be founded
	verdictDead                 // somebody refused: the set will never found anything
)

// judge is the decision on a set, from what each of its members answered; a member that did not answer is not in answers.
func judge(set *FounderSet, answers map[uint64]answer) verdict {
	for _, a := range answers {
		if a == answerFounded {
			return verdictFound
		}
	}
	all := true
	for _, m := range set.Members {
		switch answers[m.ID] {
		case answerRefused:
			return verdictDead
		case answerPromised:
		default:
			all = false
		}
	}
	if all {
		return verdictFound
	}
	return verdictWait
}

// hello is what a host says about itself.
type hello struct {
	Member  Member `json:"member"`
	Cluster uint64 `json:"cluster"` // 0 while it belongs to none
	Expect  int    `json:"expect"`  // how many hosts it wants to found with
	Leader  string `json:"leader"`  // address of the leader, as far as it knows
}

// choose proposes founders from the hosts that are there: this one and those that answered, all without data. It returns
// nil unless enough are there and this one has the lowest id among them, for one proposer is enough.
func choose(self Member, expect int, others []hello) []Member {
	candidates := []Member{self}
	for _, h := range others {
		if h.Cluster == 0 && h.Expect == expect && h.Member.ID != self.ID {
			candidates = append(candidates, h.Member)
		}
	}
	sortedMembers(candidates)
	candidates = slices.CompactFunc(candidates, func(a, b Member) bool { return a.ID == b.ID })
	if expect < 1 || len(candidates) < expect || candidates[0].ID != self.ID {
		return nil
	}
	return candidates[:expect]
}

func encodeJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err)) // only our own plain structs come here
	}
	return b
}

func decodeJSON[T any](b []byte) (T, error) {
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		return v, fmt.Errorf("decode %T: %w", v, err)
	}
	return v, nil
}
