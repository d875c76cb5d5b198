package rest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The bounds on a connection. A handler that takes longer lifts its own: see long.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second // the whole request; also a body that nobody looks at, which net/http reads to its end
	writeTimeout  = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 32 << 10
)

// Server serves the API on one address.
type Server struct {
	opt     Options
	policy  atomic.Pointer[policy]
	routes  map[string]map[string]http.HandlerFunc // by method and first segment of the path
	v1      http.Handler
	metrics *metrics
	cache   statusCache
	streams atomic.Int64 // open streams of events
	http    *http.Server
	origins *http.CrossOriginProtection

	life context.Context // ends with the server: actions outlive their request, not their server
	end  context.CancelFunc

	mu       sync.Mutex // guards what follows
	listener net.Listener
	address  string // as configured
	running  sync.WaitGroup
}

// New makes a server. It fails on a configuration that cannot be served: a certificate that cannot be read, an address range
// that is none.
func New(o Options) (*Server, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	s := &Server{opt: o, metrics: newMetrics(o.Registerer), origins: http.NewCrossOriginProtection()}
	p, err := s.newPolicy(o.Config)
	if err != nil {
		return nil, err
	}
	s.policy.Store(p)
	s.routes = s.patroniRoutes()
	s.v1 = s.v1Routes()
	s.life, s.end = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler:                      s,
		DisableGeneralOptionsHandler: true, // OPTIONS * is a health check like any other
		ReadHeaderTimeout:            headerTimeout,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeader,
		ErrorLog:                     quietLog(o.Logger),
	}
	return s, nil
}

// Start begins to serve.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open(ctx, s.opt.Config.Listen)
}

// open listens on an address and serves there. It is called with mu held.
func (s *Server) open(ctx context.Context, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("restapi.listen is %q: expected host:port, for example 0.0.0.0:8008", address)
	}
	if host == "*" {
		host = ""
	}
	l, err := s.opt.Listen(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return fmt.Errorf("restapi.listen %s: %w", address, err)
	}
	s.listener, s.address = l, address
	s.running.Go(func() { s.serve(l) })
	return nil
}

func (s *Server) serve(l net.Listener) {
	err := s.http.Serve(tlsListener{l, s})
	if err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		s.opt.Logger.Error("REST API no longer served", "address", l.Addr().String(), "error", err)
	}
}

// Addr is the address that is really served; nil before Start.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return nil
	}
	return s.listener.Addr()
}

// Reload takes a new configuration over, or none of it when there is an error. Connections that are open stay; another
// address is opened before the old one is closed.
func (s *Server) Reload(ctx context.Context, c Config) error {
	p, err := s.newPolicy(c)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.listener; old != nil && c.Listen != s.address {
		if err := s.open(ctx, c.Listen); err != nil {
			return err
		}
		if err := old.Close(); err != nil {
			s.opt.Logger.Warn("old REST address not closed", "address", old.Addr().String(), "error", err)
		}
	}
	s.policy.Store(p)
	return nil
}

// Stop ends the server: no new requests, the ones in flight until ctx ends, then none.
func (s *Server) Stop(ctx context.Context) error {
	s.end()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	s.running.Wait()
	return err
}

// ServeHTTP routes as Patroni does: by the method and the first segment of the path; what is unknown there is a health check,
// or a method that is not supported.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := &recorder{ResponseWriter: w}
	segment := firstSegment(r.URL.Path)
	s.route(r.Method, segment)(rec, r)
	s.metrics.count(r.Method, segment, rec.code)
}

func (s *Server) route(method, segment string) http.HandlerFunc {
	if segment == "v1" {
		return s.v1.ServeHTTP
	}
	if h, ok := s.routes[method][segment]; ok {
		return h
	}
	switch method {
	case http.MethodGet:
		return s.getHealth
	case http.MethodHead, http.MethodOptions:
		return s.checkHealth
	}
	return s.unsupported
}

func firstSegment(path string) string {
	path = strings.TrimLeft(path, "/")
	if i := strings.IndexByte(path, '/'); i >= 0 {
		path = path[:i]
	}
	return path
}
