package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"

	"quorate/api/etcd2"
	"quorate/api/etcd3"
	"quorate/internal/dcsclient"
	"quorate/raftstore"
)

// storeMember is this host's member of the store, with etcd's API in front of it. One that has failed is opened again when the cause is gone.
type storeMember struct {
	n   *Node
	opt raftstore.Options

	mu    sync.Mutex // guards what follows
	store *raftstore.Store
	v2    *etcd2.Handler
	front *etcd3.Server
}

const (
	// The pause before a member that has failed is opened again: it doubles from the first to the last, and begins anew when the member
	// has served for reopenCalm.
	reopenFirst = time.Second
	reopenLast  = time.Minute
	reopenCalm  = 10 * time.Minute
	// frontTimeout bounds the wait for requests under way when the API ends.
	frontTimeout = 5 * time.Second
)

// now is the member as it is; after a failure it answers nothing but errors.
func (m *storeMember) now() *raftstore.Store {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.store
}

// conn is the way to the API within this process. It ends with the API.
func (m *storeMember) conn() *grpc.ClientConn {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.front.Conn()
}

// open opens the store folder and serves etcd's API. After an error nothing is left open. The clients' port and certificates come first: a store
// that was founded before they turn out wrong would be there for the next start.
func (m *storeMember) open() error {
	conf, err := serverTLS("store.client_tls", m.n.cfg.Store.ClientTLS)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", net.JoinHostPort(m.n.cfg.Store.Listen, strconv.Itoa(m.n.cfg.Store.ClientPort)))
	if err != nil {
		return err
	}
	store, err := raftstore.Open(m.opt)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			err = fmt.Errorf("%w; store.data_dir names another folder", err)
		}
		return errors.Join(err, l.Close())
	}
	m.mu.Lock()
	m.store = store
	m.mu.Unlock()
	if m.n.gossip != nil {
		_ = m.n.gossip.SetMeta(m.n.meta())
	}
	if err := m.serve(store, l, conf); err != nil {
		return errors.Join(err, m.end(context.Background()))
	}
	return nil
}

// serve serves etcd's API on a listener, which it owns.
func (m *storeMember) serve(store *raftstore.Store, l net.Listener, conf *tls.Config) error {
	n := m.n
	v2, err := etcd2.New(etcd2.Options{Store: v2Store{store}, Logger: n.log})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	front, err := etcd3.New(etcd3.Options{
		Store: store, Logger: n.log, Registerer: n.reg, Gatherer: n.series(), Handlers: map[string]http.Handler{"/v2/": v2},
		Access: origins(n.cfg.Store.Origins),
	})
	if err != nil {
		v2.Stop()
		return errors.Join(err, l.Close())
	}
	m.mu.Lock()
	m.v2, m.front = v2, front
	m.mu.Unlock()
	go func() {
		if err := front.Serve(l, conf); err != nil {
			n.log.Error("the store's API has ended", "error", err)
		}
	}()
	return nil
}

// origins is whose web pages may read answers: nobody's of another origin, unless they are named.
func origins(list []string) *etcd3.Access {
	if len(list) == 0 {
		return nil
	}
	return &etcd3.Access{Origins: list}
}

// end ends the API, and then the member, which hands its leadership over.
func (m *storeMember) end(ctx context.Context) error {
	m.mu.Lock()
	store, v2, front := m.store, m.v2, m.front
	m.v2, m.front = nil, nil
	m.mu.Unlock()
	var errs []error
	if front != nil {
		v2.Stop()
		ctx, cancel := context.WithTimeout(ctx, frontTimeout)
		defer cancel()
		errs = append(errs, front.Stop(ctx))
	}
	return errors.Join(append(errs, store.Close())...)
}

// keep opens the member again whenever it has failed, until ctx ends. Meanwhile the agent uses other hosts' members: a broken store must
// not take a healthy primary down.
func (m *storeMember) keep(ctx context.Context) {
	pause := reopenFirst
	for {
		since := time.Now()
		var why error
		select {
		case why = <-m.now().Failed():
		case <-ctx.Done():
			return
		}
		removed := errors.Is(why, raftstore.ErrRemoved)
		if removed {
			m.n.log.Error("this host's member of the store was removed; to have one again, stop this host, empty the folder and start it", "folder", m.opt.Dir)
		} else {
			m.n.log.Error("the store has failed; this host goes on without its own member", "error", why)
		}
		m.n.useLocal(nil)
		if err := m.end(ctx); err != nil {
			m.n.log.Warn("ending the failed store", "error", err)
		}
		if removed || errors.Is(why, raftstore.ErrUnknownEntry) {
			return // only an operator can help
		}
		if time.Since(since) > reopenCalm {
			pause = reopenFirst
		}
		if !m.reopen(ctx, &pause) {
			return
		}
		m.n.useLocal(m.conn())
		m.n.log.Info("the store is open again")
	}
}

// reopen tries until the member is open, with growing pauses; false when ctx ends before.
func (m *storeMember) reopen(ctx context.Context, pause *time.Duration) bool {
	select {
	case <-m.now().Gone(): // what still hangs in its files must not meet the next one
	case <-ctx.Done():
		return false
	}
	for {
		select {
		case <-time.After(*pause):
		case <-ctx.Done():
			return false
		}
		*pause = min(2**pause, reopenLast)
		err := m.open()
		if err == nil {
			return true
		}
		m.n.log.Warn("the store cannot be opened again yet", "error", err, "next_try_in", pause.String())
	}
}

// useLocal tells the agent's client of the way to this host's own member; nil: there is none now.
func (n *Node) useLocal(conn *grpc.ClientConn) {
	if c, own := n.dcs.(*dcsclient.Etcd); own && n.cfg.Etcd == nil {
		c.SetLocal(conn)
	}
}

// keepMember begins to look after the member.
func (n *Node) keepMember() {
	if n.member == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { n.member.keep(ctx) })
	n.onStop("store's keeper", func(context.Context) error { cancel(); done.Wait(); return nil })
}
