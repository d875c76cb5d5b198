package node

import (
	"context"
	"net"
	"strconv"
	"sync"
	"time"

	"quorate/internal/gossip"
	"quorate/raftstore"
)

// makeGossip checks what gossip is to do.
func (n *Node) makeGossip() (err error) {
	g := n.cfg.Gossip
	if !g.Enabled {
		return nil
	}
	n.gossip, err = gossip.New(gossip.Options{
		Name: n.cfg.Name, Listen: g.Listen, Advertise: g.Advertise, Join: g.Join, Secret: g.Secret, Insecure: g.Insecure,
		Meta: n.meta(), Logger: n.log, Registerer: n.reg,
	})
	return err
}

// startGossip begins to look for the other hosts.
func (n *Node) startGossip(ctx context.Context) error {
	if n.gossip == nil {
		return nil
	}
	if err := n.gossip.Start(); err != nil {
		return err
	}
	n.onStop("gossip", func(context.Context) error { return n.gossip.Stop() })
	return n.namesakeHost(ctx)
}

func (n *Node) meta() gossip.Meta {
	c := n.cfg
	m := gossip.Meta{Scope: c.Scope, RESTURL: apiURL(c), Expect: c.Store.Expect, Started: time.Now().UnixMilli()}
	if c.Roles.Store {
		m.Roles = append(m.Roles, "store")
		m.PeerAddr = net.JoinHostPort(c.Address, strconv.Itoa(c.Store.PeerPort))
		m.ClientURL = n.clientURL()
	}
	if c.Roles.Postgres {
		m.Roles = append(m.Roles, "postgres")
		m.PGAddr = c.PostgreSQL.ConnectAddress
	}
	if c.Roles.Proxy {
		m.Roles = append(m.Roles, "proxy")
	}
	if n.member != nil {
		s := n.member.now()
		m.MemberID, m.StoreID = s.ID(), s.ClusterID()
		m.Founded = m.StoreID != 0
	}
	return m
}

func (n *Node) clientURL() string {
	scheme := "http"
	if n.cfg.Store.ClientTLS.Enabled() {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(n.cfg.Address, strconv.Itoa(n.cfg.Store.ClientPort))
}

// storePeers are the store hosts that gossip sees. Without gossip a host is alone.
func (n *Node) storePeers() []raftstore.Peer {
	var out []raftstore.Peer
	if n.gossip == nil {
		return out
	}
	for _, m := range n.gossip.Members() {
		if m.Meta.HasRole("store") && m.Meta.PeerAddr != "" {
			out = append(out, raftstore.Peer{
				ID: m.Meta.MemberID, Name: m.Name, PeerAddr: m.Meta.PeerAddr, ClientURLs: []string{m.Meta.ClientURL}, HasData: m.Meta.Founded,
			})
		}
	}
	return out
}

// watchGossip passes on who is there: to the store's founding, to the client of other hosts' stores, and to the agent.
func (n *Node) watchGossip() {
	views, stop := n.gossip.Watch()
	ctx, cancel := context.WithCancel(context.Background())
	n.onStop("gossip's reader", func(context.Context) error { cancel(); stop(); return nil })
	go func() {
		for {
			select {
			case v := <-views:
				n.tellHosts(func(h *hostsTold) { h.view = &v })
			case <-ctx.Done():
				return
			}
		}
	}()
}

// hostsTold is what gossip last said, and who wants to know: parts that are started later than gossip's reader.
type hostsTold struct {
	mu    sync.Mutex // guards what follows
	view  *gossip.View
	dcs   storeConn
	agent *agent
}

// tellHosts passes on what gossip last said, after a change of it or of who wants to know.
func (n *Node) tellHosts(change func(*hostsTold)) {
	h := &n.told
	h.mu.Lock()
	defer h.mu.Unlock()
	change(h)
	if h.view == nil {
		return
	}
	v := *h.view
	if n.member != nil {
		n.member.now().LookAgain()
	}
	var stores []string
	for _, m := range v.Members {
		if m.Meta.HasRole("store") && m.Meta.ClientURL != "" && !m.Self {
			stores = append(stores, m.Meta.ClientURL)
		}
	}
	if h.dcs != nil && n.cfg.Etcd == nil && (n.member == nil || len(stores) > 0) {
		if err := h.dcs.SetEndpoints(stores); err != nil {
			n.log.Warn("store hosts", "error", err)
		}
	}
	if h.agent != nil {
		h.agent.loop.post(n.dataHosts(v))
	}
}

// dataHosts are the hosts with PostgreSQL of this cluster, and whether more are to come: with a new store nobody leads before
// as many hosts as it was founded by have been seen.
func (n *Node) dataHosts(v gossip.View) hostsEvent {
	var e hostsEvent
	stores := 0
	for _, m := range v.Members {
		if m.Meta.HasRole("postgres") && m.Meta.Scope == n.cfg.Scope {
			e.expected = append(e.expected, m.Name)
		}
		if m.Meta.HasRole("store") {
			stores++
		}
	}
	e.more = n.cfg.Roles.Store && stores < n.cfg.Store.Expect
	return e
}
