package etcd2

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v2store"
)

func (h *Handler) serveKeys(w http.ResponseWriter, r *http.Request) {
	q, err := parseQuery(r)
	if err != nil {
		h.fail(w, err)
		return
	}
	a, ok := h.access(w, r)
	if !ok || !a.requireKey(w, r, q.Recursive) {
		return
	}
	if q.wait {
		h.serveWatch(w, r, q)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.timeout)
	defer cancel()
	event, err := h.do(ctx, q)
	if err != nil {
		h.fail(w, err)
		return
	}
	h.writeEvent(w, event, q.noValueOnSuccess)
}

func (h *Handler) do(ctx context.Context, q query) (*v2store.Event, error) {
	switch q.Method {
	case http.MethodGet:
		return h.store.V2Get(ctx, q.Path, q.Recursive, q.sorted, q.quorum)
	case http.MethodHead: // local even with quorum, as in etcd
		return h.store.V2Get(ctx, q.Path, q.Recursive, q.sorted, false)
	}
	return h.store.V2Change(ctx, q.Request)
}

func (h *Handler) writeEvent(w http.ResponseWriter, e *v2store.Event, bare bool) {
	h.indexes(w, e.EtcdIndex)
	w.Header().Set("Content-Type", "application/json")
	if e.IsCreated() {
		w.WriteHeader(http.StatusCreated)
	}
	out := h.present(e)
	if bare {
		out = withoutNodes(out)
	}
	_ = json.NewEncoder(w).Encode(out) // the client has gone
}

func (h *Handler) present(e *v2store.Event) *v2store.Event {
	return presenter{cluster: h.store.V2Now(), wall: h.wall()}.event(e)
}

// indexes are the headers by which clients tell how new an answer is.
func (h *Handler) indexes(w http.ResponseWriter, etcd uint64) {
	w.Header().Set("X-Etcd-Index", strconv.FormatUint(etcd, 10))
	w.Header().Set("X-Raft-Index", strconv.FormatUint(h.store.RaftIndex(), 10))
	w.Header().Set("X-Raft-Term", strconv.FormatUint(h.store.Header().GetRaftTerm(), 10))
}
