package etcd2

import (
	"encoding/json"
	"net/http"
)

// serveWatch answers with the first event, or with stream with every event, as it happens. The headers go out at once, so
// that the client knows from which index it watches. An empty body means that the watch was ended: the client reads anew.
func (h *Handler) serveWatch(w http.ResponseWriter, r *http.Request, q query) {
	watcher, err := h.store.V2Watch(q.Path, q.Recursive, q.stream, q.waitIndex)
	if err != nil {
		h.fail(w, err)
		return
	}
	defer watcher.Remove()
	h.indexes(w, watcher.StartIndex())
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w).Flush
	if flush() != nil {
		return
	}
	for {
		select {
		case e, ok := <-watcher.EventChan():
			if !ok {
				return
			}
			if json.NewEncoder(w).Encode(h.present(e)) != nil || !q.stream || flush() != nil {
				return
			}
		case <-r.Context().Done():
			return
		case <-h.stopping:
			return
		case <-h.store.Done():
			return
		}
	}
}
