package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"quorate/api/rest"
	"quorate/internal/config"
	"quorate/internal/config/dynamic"
	"quorate/pgctl/ha"
	"quorate/proxy"
	"quorate/raftstore"
)

func askStop(k *ha.Asked) { k.Stop = true }

// reloadEvent puts a new local configuration in force.
type reloadEvent struct{ cfg *config.Config }

func (e reloadEvent) fold(k *known) {
	showLocal(&k.self, e.cfg, k.served)
	k.self.WatchdogRequired = e.cfg.Watchdog.Mode == "required"
	k.local = e.cfg
	if c := k.store.Cluster; c != nil {
		k.set = k.settings(c.Config)
	}
}

// routerView shows the router to the API.
type routerView struct{ r *proxy.Router }

func (v routerView) Status() any   { return v.r.Status() }
func (v routerView) Sessions() any { return v.r.Sessions() }

func (v routerView) Kill(id string) error {
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return fmt.Errorf("%w: %q", rest.ErrNoSession, id)
	}
	if err := v.r.Kill(n); errors.Is(err, proxy.ErrNoSession) {
		return fmt.Errorf("%w: %d", rest.ErrNoSession, n)
	} else if err != nil {
		return err
	}
	return nil
}

// storeMembers shows the store's members to the API.
type storeMembers struct{ m *storeMember }

func (m storeMembers) List(ctx context.Context) ([]rest.StoreMember, error) {
	s := m.m.now()
	r, err := s.MemberList(ctx, &pb.MemberListRequest{})
	if err != nil {
		return nil, err
	}
	well := s.Healthy(ctx)
	var out []rest.StoreMember
	for _, x := range r.Members {
		out = append(out, rest.StoreMember{
			ID: fmt.Sprintf("%x", x.ID), Name: x.Name, PeerURL: first(x.PeerURLs), ClientURL: first(x.ClientURLs), Learner: x.IsLearner,
			Leader: x.ID == s.Leader(), Healthy: well[x.ID],
		})
	}
	return out, nil
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

func (m storeMembers) Add(ctx context.Context, _, peerURL string) (rest.StoreMember, error) {
	r, err := m.m.now().MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: []string{peerURL}, IsLearner: true})
	if err != nil {
		return rest.StoreMember{}, memberError(err, peerURL)
	}
	return rest.StoreMember{ID: fmt.Sprintf("%x", r.Member.ID), PeerURL: peerURL, Learner: true}, nil
}

func (m storeMembers) Promote(ctx context.Context, id string) error {
	n, err := memberID(id)
	if err != nil {
		return err
	}
	_, err = m.m.now().MemberPromote(ctx, &pb.MemberPromoteRequest{ID: n})
	return memberError(err, id)
}

func (m storeMembers) Remove(ctx context.Context, id string) error {
	n, err := memberID(id)
	if err != nil {
		return err
	}
	_, err = m.m.now().MemberRemove(ctx, &pb.MemberRemoveRequest{ID: n})
	return memberError(err, id)
}

// memberError says what a store's refusal means to the API; what remains is a store that cannot answer.
func memberError(err error, what string) error {
	if errors.Is(err, raftstore.ErrMemberNotFound) {
		return fmt.Errorf("%w: %q", rest.ErrNoMember, what)
	}
	if errors.Is(err, raftstore.ErrBadPeerURL) {
		return fmt.Errorf("%w, found %q", rest.ErrBadMember, what)
	}
	for _, refusal := range []error{
		raftstore.ErrMemberExists, raftstore.ErrPeerURLExists, raftstore.ErrMemberNotLearner, raftstore.ErrTooManyLearners,
		raftstore.ErrLearnerNotReady, raftstore.ErrTooFewMembers, raftstore.ErrUnhealthy,
	} {
		if errors.Is(err, refusal) {
			return fmt.Errorf("%w: %w", rest.ErrMemberRefused, err)
		}
	}
	return err
}

func memberID(id string) (uint64, error) {
	n, err := strconv.ParseUint(id, 16, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %q", rest.ErrNoMember, id)
	}
	return n, nil
}

// sharedConfig lays a host's own settings over the cluster's; before there are any, over those that it would begin with.
func sharedConfig(c *config.Config, raw []byte) dynamic.Config {
	shared := c.Bootstrap.DCS
	if raw != nil {
		shared = nil
		_ = json.Unmarshal(raw, &shared) // the parser of the keys has made sure that it is JSON
	}
	eff, _ := c.Effective(shared, c.Profile())
	return eff
}
