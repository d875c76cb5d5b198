// Package direct is a cluster by its store, past the members: what the commands fall back to when no member answers.
package direct

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"quorate/api/client"
	"quorate/api/clusterbody"
	"quorate/internal/config/dynamic"
	"quorate/internal/ctl"
	"quorate/internal/dcsclient"
	"quorate/raftstore/dcs"
)

// Options say where the store is, and which cluster in it is meant.
type Options struct {
	API                int      // etcd's: 3, or 2
	Endpoints          []string // URLs
	TLS                *tls.Config
	Username, Password string
	Timeout            time.Duration // bounds one request
	Namespace, Scope   string
}

// Store is one cluster's place in a store.
type Store struct {
	o    Options
	keys dcs.Keys
	db   dcsclient.Client
}

// Open makes a store. It connects when it is asked.
func Open(o Options) (*Store, error) {
	s := &Store{o: o, keys: dcs.NewKeys(o.Namespace, o.Scope)}
	var err error
	s.db, err = connect(o, s.keys)
	return s, err
}

// Close ends the connections.
func (s *Store) Close() error { return s.db.Close() }

// String names the store for people.
func (s *Store) String() string { return strings.Join(s.o.Endpoints, ", ") }

// View is a cluster as its keys have it.
type View struct {
	ctl.Cluster // as a member would show it
	keys        *dcs.Cluster
}

// Read reads the cluster.
func (s *Store) Read(ctx context.Context) (View, error) {
	c, err := s.load(ctx)
	if err != nil {
		return View{}, fmt.Errorf("store (%s): %w", s, err)
	}
	body, err := json.Marshal(clusterbody.New(s.o.Scope, c))
	if err != nil {
		return View{}, fmt.Errorf("the cluster by its keys: %w", err)
	}
	v := View{keys: c}
	if err := json.Unmarshal(body, &v.Cluster.Cluster); err != nil {
		return View{}, fmt.Errorf("the cluster by its keys: %w", err)
	}
	v.Name, v.Initialize = s.o.Scope, initialize(c)
	return v, nil
}

// initialize is the system identifier, or why there is none, in patronictl's words.
func initialize(c *dcs.Cluster) string {
	switch {
	case c.Initialize != "":
		return c.Initialize
	case c.InitializeRev != 0:
		return "initializing"
	}
	return "uninitialized"
}

// Exists says whether the store has anything of the cluster.
func (v View) Exists() bool {
	c := v.keys
	return len(c.Members) > 0 || c.Leader != nil || c.ConfigRev != 0 || c.InitializeRev != 0 || c.HistRev != 0
}

// Problems are the keys that cannot be read, and why.
func (v View) Problems() []string { return v.keys.Problems }

// Config is the shared configuration.
func (v View) Config() (map[string]any, error) {
	if v.keys.ConfigRev == 0 {
		return nil, fmt.Errorf("the config key does not exist in the cluster %s", v.Name)
	}
	return dynamic.Decode(v.keys.Config)
}

// History are the promotions.
func (v View) History() []client.HistoryLine {
	lines := make([]client.HistoryLine, len(v.keys.History))
	for i, h := range v.keys.History {
		lines[i] = client.HistoryLine{int64(h.Timeline), int64(h.LSN), h.Reason}
		if h.Timestamp != "" || h.NewLeader != "" {
			lines[i] = append(lines[i], h.Timestamp, h.NewLeader)
		}
	}
	return lines
}

// Paused says whether a pause holds on a member, by its key; a member whose key has gone holds up nobody.
func (v View) Paused(member string, paused bool) bool {
	m, ok := v.keys.Member(member)
	return !ok || m.Pause == paused
}

// LeaderName is who has the leader key, whether or not there is a member of that name; "" for nobody.
func (v View) LeaderName() string { return v.keys.LeaderName() }

// HandoverPending says whether a switchover or failover is asked for and not done yet.
func (v View) HandoverPending() bool { return !v.keys.Failover.IsZero() }

// errLost means that somebody else wrote meanwhile.
var errLost = errors.New("somebody else changed it meanwhile: look, and try again")

// PatchConfig merges a change into the shared configuration, as PATCH /config of a member does.
func (s *Store) PatchConfig(ctx context.Context, patch map[string]any) error {
	v, err := s.Read(ctx)
	if err != nil {
		return err
	}
	now, err := v.Config()
	if err != nil {
		return err
	}
	merged, changed := dynamic.Patch(now, patch)
	if !changed {
		return nil
	}
	text, err := dynamic.Encode(merged)
	if err != nil {
		return err
	}
	return s.done(s.put(ctx, s.keys.Config(), string(text), v.keys.ConfigRev))
}

// Handover is a switchover or failover to ask for.
type Handover struct {
	Leader    string // who must hold the lead; "" for a failover
	Candidate string // "": whoever can
	At        string // ISO 8601; "": now
}

// AskHandover writes the key by which members are asked for a switchover or failover, as a member's API does: only if none is asked for, and while the named
// leader's term stands. A request that a member took before its answer was lost is so not made twice.
func (s *Store) AskHandover(ctx context.Context, h Handover) error {
	v, err := s.Read(ctx)
	if err != nil {
		return err
	}
	c := v.keys
	if h.Leader != "" && c.LeaderName() != h.Leader {
		return fmt.Errorf("%s does not lead any more, %s does: nothing was asked for", h.Leader, orNobody(c.LeaderName()))
	}
	if f := c.Failover; !f.IsZero() {
		return fmt.Errorf("a switchover from %s to %s is asked for already: nothing more was asked for", orNobody(f.Leader), orAnybody(f.Candidate))
	}
	var also []dcs.Compare
	if h.Leader != "" && h.At == "" {
		also = append(also, dcs.CreatedAt(s.keys.Leader(), c.Leader.Term.Rev))
	}
	value := dcs.Encode(dcs.Failover{Leader: h.Leader, Candidate: h.Candidate, ScheduledAt: h.At})
	return s.done(s.put(ctx, s.keys.Failover(), value, c.Failover.Mod, also...))
}

// CancelHandover takes a scheduled switchover back.
func (s *Store) CancelHandover(ctx context.Context) error {
	v, err := s.Read(ctx)
	if err != nil {
		return err
	}
	return s.done(s.put(ctx, s.keys.Failover(), "{}", v.keys.Failover.Mod))
}

func (s *Store) done(ok bool, err error) error {
	if err != nil {
		return fmt.Errorf("store (%s): %w", s, err)
	}
	if !ok {
		return errLost
	}
	return nil
}

func orNobody(name string) string {
	if name == "" {
		return "nobody"
	}
	return name
}

func orAnybody(name string) string {
	if name == "" {
		return "anybody"
	}
	return name
}
