package dcsclient

import (
	"context"
	"net/url"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// Connections are tried again soon: a host that comes back is wanted at once, and there are five of them at most.
const (
	reconnectFirst = 50 * time.Millisecond
	reconnectMax   = time.Second
	connectTimeout = time.Second
	// pingInterval is the shortest that gRPC's client permits, pingTimeout how long a host may owe the answer.
	pingInterval = 10 * time.Second
	pingTimeout  = 3 * time.Second
)

// endpoint is one host of the store, or the store in this process.
type endpoint struct {
	name  string
	conn  *grpc.ClientConn
	local bool // the connection is somebody else's to close

	kv      pb.KVClient
	lease   pb.LeaseClient
	watch   pb.WatchClient
	auth    pb.AuthClient
	cluster pb.ClusterClient

	mu       sync.Mutex // guards the fields below
	suspect  chan struct{}
	renewals map[int64]*renewal // the keep-alives that are outstanding, by lease
}

func newEndpoint(name string, conn *grpc.ClientConn, local bool) *endpoint {
	return &endpoint{
		name: name, conn: conn, local: local,
		kv: pb.NewKVClient(conn), lease: pb.NewLeaseClient(conn), watch: pb.NewWatchClient(conn),
		auth: pb.NewAuthClient(conn), cluster: pb.NewClusterClient(conn),
		suspect: make(chan struct{}), renewals: map[int64]*renewal{},
	}
}

// dialEndpoint makes the endpoint of an address and starts to connect.
func dialEndpoint(address string, o Options) (*endpoint, error) {
	creds := insecure.NewCredentials()
	if o.TLS != nil && !strings.HasPrefix(address, "http://") {
		creds = credentials.NewTLS(o.TLS.Clone())
	}
	conn, err := grpc.NewClient("passthrough:///"+hostPort(address),
		grpc.WithTransportCredentials(creds),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: reconnectFirst, Multiplier: 2, Jitter: 0.2, MaxDelay: reconnectMax},
			MinConnectTimeout: connectTimeout,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingInterval, Timeout: pingTimeout}),
		grpc.WithIdleTimeout(0),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
	)
	if err != nil {
		return nil, err
	}
	return newEndpoint(address, conn, false), nil
}

// maxAnswer bounds one answer: a Load of a whole cluster's keys is far below it.
const maxAnswer = 64 << 20

// hostPort strips the scheme that etcd's URLs have.
func hostPort(address string) string {
	if !strings.Contains(address, "://") {
		return address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return address
	}
	return u.Host
}

// keepConnected dials anew whenever the connection has fallen idle, as it does after a break, until ctx ends.
func (e *endpoint) keepConnected(ctx context.Context) {
	for {
		state := e.conn.GetState()
		if state == connectivity.Shutdown {
			return
		}
		if state == connectivity.Idle {
			e.conn.Connect()
		}
		if !e.conn.WaitForStateChange(ctx, state) {
			return
		}
	}
}

func (e *endpoint) ready() bool { return e.conn.GetState() == connectivity.Ready }

// awaitReady waits for the connection, until it has failed or ctx ends.
func (e *endpoint) awaitReady(ctx context.Context) bool {
	for {
		switch state := e.conn.GetState(); state {
		case connectivity.Ready:
			return true
		case connectivity.TransientFailure, connectivity.Shutdown:
			return false
		default:
			if state == connectivity.Idle {
				e.conn.Connect()
			}
			if !e.conn.WaitForStateChange(ctx, state) {
				return false
			}
		}
	}
}

// suspected is closed when a call to this host next runs into its time limit. A host that was cut off says nothing, and a
// watch on it would wait until gRPC's ping notices; the calls notice sooner.
func (e *endpoint) suspected() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.suspect
}

func (e *endpoint) raiseSuspicion() {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.suspect)
	e.suspect = make(chan struct{})
}
