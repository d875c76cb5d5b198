package etcd3

import (
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
)

// newHandler is the whole HTTP side.
func (s *Server) newHandler(gateway *grpc.ClientConn) (http.Handler, error) {
	v3, err := newGateway(s.ctx, gateway)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/v3/", s.refuseNames(s.limitBody(v3)))
	mux.Handle("/version", getOnly(s.serveVersion))
	mux.Handle("/health", getOnly(s.serveHealth))
	for _, p := range s.probes() {
		p.install(mux)
	}
	if s.opts.Gatherer != nil {
		mux.Handle("/metrics", promhttp.HandlerFor(s.opts.Gatherer, promhttp.HandlerOpts{}))
	}
	for pattern, h := range s.opts.Handlers {
		mux.Handle(pattern, h)
	}
	return legacyPaths(mux), nil
}

// limitBody bounds what is read of a request. JSON carries bytes in base64, four characters for three.
func (s *Server) limitBody(next http.Handler) http.Handler {
	limit := int64(s.opts.MaxRequestBytes)*4/3 + requestOverhead
	return http.MaxBytesHandler(next, limit)
}

// serveVersion is how clients choose their protocol: Patroni reads etcdcluster to tell /v3 from /v3beta.
func (s *Server) serveVersion(w http.ResponseWriter, _ *http.Request) {
	cluster := s.opts.ClusterVersion
	if s.opts.Store.Header().GetClusterId() == 0 {
		cluster = "not_decided"
	}
	writeJSON(w, http.StatusOK, struct {
		Server  string `json:"etcdserver"`
		Cluster string `json:"etcdcluster"`
	}{s.opts.Version, cluster})
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(body)
}

// getOnly answers any other method as etcd does.
func getOnly(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", http.MethodGet)
			http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
			return
		}
		next(w, r)
	})
}
