package etcd3

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math"
	"net"
	"net/http"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
)

// etcd's settings of the gRPC transport, which clients are tuned to: one that pings more often than every 5 s is told to
// go away, a dead one is noticed 20 s after 2 h of silence.
const (
	keepaliveMinTime  = 5 * time.Second
	keepaliveInterval = 2 * time.Hour
	keepaliveTimeout  = 20 * time.Second
	maxSendBytes      = math.MaxInt32

	readHeaderTimeout = 5 * time.Minute
)

// Server is the front end: one gRPC server and one HTTP server, on any number of listeners that each carry both.
//
//	New ── Serve (once per listener) ── Stop
//
// Register and Handler give the two halves to a caller that has listeners of its own.
type Server struct {
	opts    Options
	log     *slog.Logger
	permit  permit
	metrics *metrics
	stats   *rpcStats
	guard   *guard
	health  *health.Server
	grpc    *grpc.Server
	http    *http.Server
	handler http.Handler

	ctx    context.Context // ends when Stop begins
	cancel context.CancelFunc
	wg     sync.WaitGroup

	inside, onBehalf pipe               // for the gateway and the recipes, and for Conn
	conns            []*grpc.ClientConn // through the pipes
	node             *grpc.ClientConn   // through onBehalf
	recipes          *clientv3.Client   // through inside

	once      sync.Once  // of Stop
	mu        sync.Mutex // guards listeners
	listeners []net.Listener
}

// New makes a front end of a store and starts what it does in the background; the store must be running, but need not
// have a leader. The caller calls Stop.
func New(opts Options) (*Server, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{opts: opts, log: opts.Logger, permit: newPermit(opts.Store), health: health.NewServer()}
	s.guard = newGuard(opts.Store)
	if s.metrics, err = newMetrics(opts); err != nil {
		return nil, err
	}
	s.stats = &rpcStats{metrics: s.metrics, methods: map[string]*rpcSeries{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.grpc = grpc.NewServer(s.grpcOptions()...)
	s.inside, s.onBehalf = newPipe(false), newPipe(true)
	if err := s.connect(); err != nil {
		s.cancel()
		return nil, err
	}
	s.background(func() { s.guard.run(s.ctx) })
	s.background(func() { _ = s.grpc.Serve(s.inside) })
	s.background(func() { _ = s.grpc.Serve(s.onBehalf) })
	return s, nil
}

// connect opens the connections inside the process and what stands on them.
func (s *Server) connect() error {
	gateway, err := s.inside.dial()
	if err != nil {
		return err
	}
	recipes, err := s.inside.dial(grpc.WithChainUnaryInterceptor(forwardTokenUnary))
	if err != nil {
		return errors.Join(err, gateway.Close())
	}
	if s.node, err = s.onBehalf.dial(); err != nil {
		return errors.Join(err, gateway.Close(), recipes.Close())
	}
	s.conns = []*grpc.ClientConn{gateway, recipes, s.node}
	if s.handler, err = s.newHandler(gateway); err != nil {
		return errors.Join(err, s.closeConns())
	}
	s.http = &http.Server{
		Handler:           withTLS(s.opts.Access.guard(s.handler, s.rejectedHost)),
		ConnContext:       rememberTLS,
		ReadHeaderTimeout: readHeaderTimeout,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.Register(s.grpc)
	s.recipes = recipeClient(s.ctx, recipes)
	v3lockpb.RegisterLockServer(s.grpc, v3lock.NewLockServer(s.recipes))
	v3electionpb.RegisterElectionServer(s.grpc, v3election.NewElectionServer(s.recipes))
	reflection.Register(s.grpc)
	s.stats.know(s.grpc.GetServiceInfo())
	return nil
}

func (s *Server) grpcOptions() []grpc.ServerOption {
	i := &interceptor{store: s.opts.Store, permit: s.permit, guard: s.guard, metrics: s.metrics}
	return []grpc.ServerOption{
		grpc.Creds(connCreds{}),
		grpc.StatsHandler(s.stats),
		grpc.ChainUnaryInterceptor(i.unary),
		grpc.ChainStreamInterceptor(i.stream),
		grpc.MaxRecvMsgSize(s.opts.MaxRequestBytes + requestOverhead),
		grpc.MaxSendMsgSize(maxSendBytes),
		grpc.MaxConcurrentStreams(s.opts.MaxConcurrentStreams),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveMinTime}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveInterval, Timeout: keepaliveTimeout}),
	}
}

// Register adds etcd's services and the health service to a gRPC server. Metadata checks and the guard of streams are
// interceptors of this Server's own gRPC server: another one has the services without them.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	o := s.opts
	pb.RegisterKVServer(r, &kvServer{
		store: o.Store, permit: s.permit, maxTxnOps: o.MaxTxnOps, maxRequestBytes: o.MaxRequestBytes,
	})
	pb.RegisterWatchServer(r, &watchServer{
		store: o.Store, permit: s.permit, metrics: s.metrics,
		interval: o.ProgressInterval, maxBytes: o.MaxRequestBytes + requestOverhead,
	})
	pb.RegisterLeaseServer(r, &leaseServer{store: o.Store, permit: s.permit, metrics: s.metrics})
	pb.RegisterClusterServer(r, &clusterServer{store: o.Store, permit: s.permit})
	pb.RegisterMaintenanceServer(r, &maintenanceServer{store: o.Store, permit: s.permit, version: o.Version, log: s.log})
	if a, ok := o.Store.(AuthStore); ok {
		pb.RegisterAuthServer(r, &authServer{store: o.Store, auth: a})
	} else {
		pb.RegisterAuthServer(r, pb.UnimplementedAuthServer{})
	}
	healthpb.RegisterHealthServer(r, s.health)
}

// rejectedHost tells of it in etcd's words.
func (s *Server) rejectedHost(host string) {
	s.log.Warn("rejecting HTTP request to prevent DNS rebinding attacks", "host", host)
}

// Handler is the HTTP side: the JSON gateway, the pages and Options.Handlers, without Options.Access.
func (s *Server) Handler() http.Handler { return s.handler }

// Conn is a gRPC connection to this Server that uses no network, for this process on its own behalf: its calls have the
// rights of root where the store keeps users. It belongs to the Server, which closes it in Stop.
func (s *Server) Conn() *grpc.ClientConn { return s.node }

// Serve serves gRPC and HTTP on a listener, by TLS unless conf is nil, until Stop; then it returns nil. It owns l.
func (s *Server) Serve(l net.Listener, conf *tls.Config) error {
	return s.serve(newProtocolMux(l, conf, s.log))
}

// ServeMixed is Serve for a listener that takes clients with and without TLS, as etcd does on an address of which it is given
// an http and an https URL.
func (s *Server) ServeMixed(l net.Listener, conf *tls.Config) error {
	mux := newProtocolMux(l, conf, s.log)
	mux.mixed = true
	return s.serve(mux)
}

func (s *Server) serve(mux *protocolMux) error {
	l := mux.listener
	if !s.attach(mux) {
		return errors.Join(http.ErrServerClosed, l.Close())
	}
	s.log.Info("serving etcd clients", "address", l.Addr().String(), "tls", mux.tls != nil)
	return mux.serve()
}

// attach starts both sides of a listener, unless Stop has begun.
func (s *Server) attach(mux *protocolMux) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.listeners = append(s.listeners, mux.listener)
	s.background(func() { _ = s.grpc.Serve(mux.grpc) })
	s.background(func() { _ = s.http.Serve(mux.http) })
	return true
}

func (s *Server) background(f func()) { s.wg.Go(f) }

// Stop ends the front end: listeners close, streams end with "server stopped" so that clients turn to another host,
// requests under way finish until ctx ends, then their connections are cut. The store is left running. A second call does
// nothing.
func (s *Server) Stop(ctx context.Context) error {
	var err error
	s.once.Do(func() { err = s.stop(ctx) })
	return err
}

func (s *Server) stop(ctx context.Context) error {
	s.mu.Lock()
	s.cancel()
	listeners := s.listeners
	s.listeners = nil
	s.mu.Unlock()

	s.health.Shutdown()
	s.guard.stop()
	var errs []error
	for _, l := range listeners {
		errs = append(errs, ignoreClosed(l.Close()))
	}
	if err := s.http.Shutdown(ctx); err != nil {
		errs = append(errs, ignoreClosed(s.http.Close()))
	}
	s.stopGRPC(ctx)
	errs = append(errs, s.closeConns())
	s.wg.Wait()
	s.metrics.unregister()
	return errors.Join(errs...)
}

func (s *Server) stopGRPC(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.grpc.GracefulStop()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.grpc.Stop()
		<-done
	}
}

func (s *Server) closeConns() error {
	var errs []error
	if s.recipes != nil {
		if err := s.recipes.Close(); !errors.Is(err, context.Canceled) { // which is how this client says that it has closed
			errs = append(errs, err)
		}
	}
	for _, c := range s.conns {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
