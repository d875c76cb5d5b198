package etcd3_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"quorate/api/etcd3"
	"quorate/internal/solostore"
)

func TestMain(m *testing.M) {
	// A proposal that is queued when Raft shuts down is never answered (hashicorp/raft 1.8.0, Raft.ApplyLog sets no
	// shutdown channel on its future).
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/hashicorp/raft.(*deferError).Error"))
}

// patience bounds every wait of the tests; reaching it is a failure.
const patience = time.Minute

// frontEnd is a running server over a store of one member, and ways to reach it.
type frontEnd struct {
	testing.TB
	store  *solostore.Store
	server *etcd3.Server
	addr   string
	url    string
	conn   *grpc.ClientConn
}

// start brings up a front end on a port of its own; change adjusts the options.
func start(t testing.TB, change ...func(*etcd3.Options)) *frontEnd {
	t.Helper()
	store, err := solostore.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	opts := etcd3.Options{Store: store, Registerer: reg, Gatherer: reg}
	for _, c := range change {
		c(&opts)
	}
	server, err := etcd3.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l, nil) }()
	f := &frontEnd{TB: t, store: store, server: server, addr: l.Addr().String(), url: "http://" + l.Addr().String()}
	f.conn, err = grpc.NewClient(f.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.conn.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := server.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		if err := store.Close(); err != nil {
			t.Errorf("store: %v", err)
		}
	})
	return f
}

func (f *frontEnd) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	f.Cleanup(cancel)
	return ctx
}

// client is etcd's own Go client.
func (f *frontEnd) client() *clientv3.Client {
	f.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{f.addr}, DialTimeout: patience, Logger: zap.NewNop()})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { c.Close() })
	return c
}

func (f *frontEnd) kv() pb.KVClient { return pb.NewKVClient(f.conn) }

// put writes through the front end and returns the revision.
func (f *frontEnd) put(key, value string) int64 {
	f.Helper()
	resp, err := f.kv().Put(f.ctx(), &pb.PutRequest{Key: []byte(key), Value: []byte(value)})
	if err != nil {
		f.Fatal(err)
	}
	return resp.Header.Revision
}

func (f *frontEnd) delete(key string) int64 {
	f.Helper()
	resp, err := f.kv().DeleteRange(f.ctx(), &pb.DeleteRangeRequest{Key: []byte(key)})
	if err != nil {
		f.Fatal(err)
	}
	return resp.Header.Revision
}
