package dcsclient_test

import (
	"context"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"quorate/api/etcd3"
	"quorate/internal/dcsclient"
	"quorate/internal/solostore"
	"quorate/raftstore/dcs"
)

func TestMain(m *testing.M) {
	// A proposal that is queued when Raft shuts down is never answered (hashicorp/raft 1.8.0, Raft.ApplyLog sets no
	// shutdown channel on its future).
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/hashicorp/raft.(*deferError).Error"))
}

// patience bounds every wait of the tests; reaching it is a failure.
const patience = time.Minute

// host is a store host: a front end over a store of one member, reached through a relay that can be cut.
type host struct {
	store  *solostore.Store
	server *etcd3.Server
	relay  *relay
}

func (h *host) addr() string { return h.relay.addr() }

func newStore(t *testing.T) *solostore.Store {
	t.Helper()
	store, err := solostore.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("store: %v", err)
		}
	})
	return store
}

// newHost serves a store; several hosts may serve one, as members of a cluster do.
func newHost(t *testing.T, store *solostore.Store) *host {
	t.Helper()
	server, err := etcd3.New(etcd3.Options{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l, nil) }()
	h := &host{store: store, server: server, relay: newRelay(t, l.Addr().String())}
	t.Cleanup(func() {
		h.relay.close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return h
}

// newClient is a client of some hosts that closes with the test.
func newClient(t *testing.T, change func(*dcsclient.Options), hosts ...*host) *dcsclient.Etcd {
	t.Helper()
	opts := dcsclient.Options{RequestTimeout: patience}
	for _, h := range hosts {
		opts.Endpoints = append(opts.Endpoints, "http://"+h.addr())
	}
	if change != nil {
		change(&opts)
	}
	c, err := dcsclient.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("client: %v", err)
		}
	})
	return c
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func put(t *testing.T, c dcsclient.Client, key, value string) dcsclient.Result {
	t.Helper()
	r, err := c.Commit(testContext(t), dcs.Txn{Then: []dcs.Op{dcs.Put(key, value, 0)}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
