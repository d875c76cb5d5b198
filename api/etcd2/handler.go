package etcd2

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// DefaultRequestTimeout bounds a request that is no watch: etcd's five seconds for queues and disks and two elections.
const DefaultRequestTimeout = 7 * time.Second

// Options of a Handler. Store is required.
type Options struct {
	Store Store
	// RequestTimeout bounds a request that is no watch (DefaultRequestTimeout).
	RequestTimeout time.Duration
	// Logger receives failures with the attribute component=etcd2; nil discards them.
	Logger *slog.Logger
	// CertUsers says that a client who names no user is the one whose name his verified certificate has, as under etcd's --client-cert-auth.
	CertUsers bool
	// Wall is the clock for the dates in answers, which only people read (time.Now).
	Wall func() time.Time
}

// ErrNoStore says that Options.Store was left out.
var ErrNoStore = errors.New("etcd2: Options.Store is required")

// Handler serves everything below /v2/.
type Handler struct {
	store   Store
	timeout time.Duration
	log     *slog.Logger
	wall    func() time.Time
	started time.Time
	mux     *http.ServeMux

	certUsers bool
	passwords *passwords

	once     sync.Once
	stopping chan struct{} // closed by Stop
}

// New makes a Handler. The caller calls Stop before it stops the HTTP server.
func New(opts Options) (*Handler, error) {
	if opts.Store == nil {
		return nil, ErrNoStore
	}
	if opts.RequestTimeout <= 0 {
		opts.RequestTimeout = DefaultRequestTimeout
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Wall == nil {
		opts.Wall = time.Now
	}
	h := &Handler{
		store: opts.Store, timeout: opts.RequestTimeout, log: opts.Logger.With("component", "etcd2"), wall: opts.Wall,
		started: opts.Wall(), mux: http.NewServeMux(), certUsers: opts.CertUsers, passwords: newPasswords(), stopping: make(chan struct{}),
	}
	h.routes()
	return h, nil
}

func (h *Handler) routes() {
	handle := func(paths string, f http.HandlerFunc, methods ...string) {
		for p := range strings.FieldsSeq(paths) {
			h.mux.Handle(p, h.allow(f, methods...))
		}
	}
	handle(keysPrefix+" "+keysPrefix+"/", h.serveKeys, http.MethodHead, http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete)
	handle("/v2/machines", h.serveMachines, http.MethodGet, http.MethodHead)
	handle(membersPrefix+" "+membersPrefix+"/", h.serveMembers, http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete)
	handle("/v2/stats/self", h.serveSelfStats, http.MethodGet)
	handle("/v2/stats/store", h.serveStoreStats, http.MethodGet)
	handle("/v2/stats/leader", h.serveLeaderStats, http.MethodGet)
	changes := []string{http.MethodGet, http.MethodPut, http.MethodDelete}
	handle(authPrefix+"/enable", h.serveEnabled, changes...)
	handle(authPrefix+"/users", h.serveUsers, http.MethodGet)
	handle(authPrefix+"/users/", h.serveUsers, changes...)
	handle(authPrefix+"/roles", h.serveRoles, http.MethodGet)
	handle(authPrefix+"/roles/", h.serveRoles, changes...)
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// Stop ends the watches, which otherwise keep their connections for ever.
func (h *Handler) Stop() { h.once.Do(func() { close(h.stopping) }) }

// allow refuses other methods, and puts the cluster's id on every answer.
func (h *Handler) allow(next http.HandlerFunc, methods ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(methods, r.Method) {
			notAllowed(w, methods...)
			return
		}
		w.Header().Set(clusterHeader, hexID(h.store.Header().GetClusterId()))
		next(w, r)
	})
}

// clusterHeader is on the answers to who may ask.
const clusterHeader = "X-Etcd-Cluster-Id"

func notAllowed(w http.ResponseWriter, methods ...string) {
	w.Header().Set("Allow", strings.Join(methods, ","))
	http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
}

func hexID(id uint64) string { return strconv.FormatUint(id, 16) }
