package etcd3

import (
	"context"
	"net"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"
)

// pipeBuffer is how many bytes wait in each direction of a connection inside the process.
const pipeBuffer = 64 * 1024

// pipe is a listener without a network: the gateway, the lock and election services and the node itself reach the gRPC
// services through one, so that all of them pass the same interceptors as a client from outside.
type pipe struct {
	*bufconn.Listener
	trusted bool
}

// trustedConn marks the connections of a trusted pipe.
type trustedConn struct{ net.Conn }

func newPipe(trusted bool) pipe { return pipe{bufconn.Listen(pipeBuffer), trusted} }

// Accept implements net.Listener.
func (p pipe) Accept() (net.Conn, error) {
	conn, err := p.Listener.Accept()
	if err != nil || !p.trusted {
		return conn, err
	}
	return trustedConn{conn}, nil
}

// dial opens a client connection through the pipe. It costs nothing until its first call.
func (p pipe) dial(opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	opts = append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return p.DialContext(ctx) }),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxSendBytes)),
	}, opts...)
	return grpc.NewClient("passthrough:///in-process", opts...)
}

// recipeClient is the client by which etcd's lock and election services run their recipes. The caller's token goes along,
// so that a lock takes no right that its caller does not have.
func recipeClient(ctx context.Context, conn *grpc.ClientConn) *clientv3.Client {
	c := clientv3.NewCtxClient(ctx)
	c.KV = clientv3.NewKVFromKVClient(pb.NewKVClient(conn), c)
	// The timeout is that of the first keep-alive; one second stands for the client's own default.
	c.Lease = clientv3.NewLeaseFromLeaseClient(pb.NewLeaseClient(conn), c, time.Second)
	c.Watcher = tokenWatcher{clientv3.NewWatchFromWatchClient(pb.NewWatchClient(conn), c)}
	return c
}

// tokenWatcher sets the token before the client picks a stream: it shares streams among calls of equal metadata, and
// must not share one among callers of different rights.
type tokenWatcher struct{ clientv3.Watcher }

func (w tokenWatcher) Watch(ctx context.Context, key string, opts ...clientv3.OpOption) clientv3.WatchChan {
	return w.Watcher.Watch(forwardToken(ctx), key, opts...)
}

func forwardTokenUnary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	return call(forwardToken(ctx), method, req, reply, cc, opts...)
}

// forwardToken carries the caller's token from the incoming call on to the calls made for it.
func forwardToken(ctx context.Context) context.Context {
	in, ok := metadata.FromIncomingContext(ctx)
	if !ok {
		return ctx
	}
	for _, key := range []string{rpctypes.TokenFieldNameGRPC, rpctypes.TokenFieldNameSwagger} {
		for _, token := range in.Get(key) {
			ctx = metadata.AppendToOutgoingContext(ctx, key, token)
		}
	}
	return ctx
}
