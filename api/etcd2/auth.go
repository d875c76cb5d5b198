package etcd2

import (
	"net/http"
	"strings"
)

// serveAuth says that v2 authentication is off, and cannot be switched on: its users are not those of v3, and nothing
// that is deployed today uses them. Network policy and TLS protect the port.
func (h *Handler) serveAuth(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && strings.TrimSuffix(r.URL.Path, "/") == "/v2/auth/enable" {
		writeJSON(w, http.StatusOK, struct {
			Enabled bool `json:"enabled"`
		}{})
		return
	}
	writeMessage(w, http.StatusNotImplemented, "v2 users and roles are not supported: use TLS, or the v3 API, which has them")
}
