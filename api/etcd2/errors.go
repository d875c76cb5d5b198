package etcd2

import (
	"encoding/json"
	"errors"
	"net/http"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v2error"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
)

// toV2 gives an error of the store v2's form. Everything that is not a refusal of the key space is 300 or 301, which
// clients repeat.
func toV2(err error) *v2error.Error {
	var refusal *v2error.Error
	if errors.As(err, &refusal) {
		shown := *refusal
		if shown.Cause == "/" && shown.ErrorCode != v2error.EcodeRootROnly {
			shown.Cause = "" // see presenter.node
		}
		return &shown
	}
	if errors.Is(err, etcderrors.ErrNoLeader) {
		return v2error.NewError(v2error.EcodeLeaderElect, err.Error(), 0)
	}
	return v2error.NewError(v2error.EcodeRaftInternal, err.Error(), 0)
}

func (h *Handler) fail(w http.ResponseWriter, err error) {
	e := toV2(err)
	if e.ErrorCode == v2error.EcodeRaftInternal {
		h.log.Warn("v2 request failed", "error", err)
	}
	_ = e.WriteTo(w) // the client has gone
}

// message is the body of errors outside the key space.
type message struct {
	Message string `json:"message"`
}

func writeMessage(w http.ResponseWriter, code int, text string) {
	writeJSON(w, code, message{text})
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client has gone
}
