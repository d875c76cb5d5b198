package etcd3

import (
	"context"
	"errors"
	"io"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
)

// receive takes requests until the client closes its side (nil) or the stream breaks.
func (ws *watchStream) receive() error {
	for {
		req, err := ws.stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			ws.metrics.streamFailed(ws.stream.Context(), "receive", "watch", err)
			return err
		}
		switch {
		case req.GetCreateRequest() != nil:
			ws.create(req.GetCreateRequest())
		case req.GetCancelRequest() != nil:
			ws.cancel(req.GetCancelRequest().WatchId)
		case req.GetProgressRequest() != nil:
			ws.requestProgress()
		}
		// A request of a kind that this server does not know is no reason to end the other watchers of the stream.
	}
}

func (ws *watchStream) create(req *pb.WatchCreateRequest) {
	key, end := watchedRange(req)
	if req.StartRevision < 0 {
		ws.refuse(rpctypes.ErrCompacted.Error())
		return
	}
	if err := ws.permit.watch(ws.stream.Context(), key, req.RangeEnd); err != nil {
		// The whole text of the status, prefix and all: that is what etcd sends and clients search in.
		ws.refuse(err.Error())
		return
	}
	w, err := ws.add(req, key, end)
	if err != nil {
		ws.refuse(err.Error())
		return
	}
	ws.answer(control{watcher: w, resp: &pb.WatchResponse{
		Header: ws.header(ws.events.Rev()), WatchId: w.id, Created: true,
	}})
}

// add makes the watcher. Its options are in place before mu is let go, and with it its first event.
func (ws *watchStream) add(req *pb.WatchCreateRequest, key, end []byte) (*watcher, error) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	id := req.WatchId
	if id == 0 { // the server chooses
		for ws.byID[ws.nextID] != nil {
			ws.nextID++
		}
		id = ws.nextID
	} else if ws.byID[id] != nil {
		return nil, mvcc.ErrWatcherDuplicateID
	}
	const freshID = 0 // mvcc counts up and never repeats
	mvccID, err := ws.events.Watch(ws.stream.Context(), freshID, key, end, req.StartRevision, eventFilters(req)...)
	if err != nil {
		return nil, err
	}
	if req.WatchId == 0 {
		ws.nextID++ // not before: a create that is refused uses up no id
	}
	w := &watcher{
		id: id, mvccID: mvccID, prevKV: req.PrevKv, fragment: req.Fragment,
		progress: req.ProgressNotify, quiet: true,
	}
	ws.watchers[mvccID], ws.byID[id] = w, w
	return w, nil
}

// cancel ends a watcher; one that is not there has ended already and is not mentioned, as in etcd.
func (ws *watchStream) cancel(id int64) {
	ws.mu.Lock()
	w := ws.byID[id]
	ws.mu.Unlock()
	if w == nil || !ws.drop(w) {
		return
	}
	ws.answer(control{resp: &pb.WatchResponse{Header: ws.header(ws.events.Rev()), WatchId: id, Canceled: true}})
}

// drop forgets a watcher and says whether it was still there: send drops those that compaction has ended, at any moment.
func (ws *watchStream) drop(w *watcher) bool {
	ws.mu.Lock()
	_, there := ws.watchers[w.mvccID]
	delete(ws.watchers, w.mvccID)
	if ws.byID[w.id] == w {
		delete(ws.byID, w.id)
	}
	ws.mu.Unlock()
	return there && ws.events.Cancel(w.mvccID) == nil
}

// requestProgress asks mvcc for a notice on behalf of all watchers of the stream. It comes through the events' own channel,
// behind every event that it covers, and only if all of them have caught up (etcd-io/etcd#15220).
func (ws *watchStream) requestProgress() {
	ws.events.RequestProgressAll()
}

// refuse answers a create with a watcher that is created and cancelled at once.
func (ws *watchStream) refuse(reason string) {
	ws.answer(control{resp: &pb.WatchResponse{
		Header: ws.header(ws.events.Rev()), WatchId: noWatchID, Created: true, Canceled: true, CancelReason: reason,
	}})
}

func (ws *watchStream) answer(c control) {
	select {
	case ws.ctrl <- c:
	case <-ws.closed:
	}
}

// watchedRange is the range of a create request in mvcc's terms. On the wire no key means the smallest key, no range end
// means this key alone, and one zero byte means every key from here on; mvcc tells the last two apart by nil and empty.
func watchedRange(req *pb.WatchCreateRequest) (key, end []byte) {
	key = req.Key
	if len(key) == 0 {
		key = []byte{0}
	}
	switch {
	case len(req.RangeEnd) == 0:
		return key, nil
	case len(req.RangeEnd) == 1 && req.RangeEnd[0] == 0:
		return key, []byte{}
	}
	return key, req.RangeEnd
}

func eventFilters(req *pb.WatchCreateRequest) []mvcc.FilterFunc {
	var filters []mvcc.FilterFunc
	for _, f := range req.Filters {
		switch f {
		case pb.WatchCreateRequest_NOPUT:
			filters = append(filters, func(e *mvccpb.Event) bool { return e.Type == mvccpb.Event_PUT })
		case pb.WatchCreateRequest_NODELETE:
			filters = append(filters, func(e *mvccpb.Event) bool { return e.Type == mvccpb.Event_DELETE })
		}
	}
	return filters
}

// watchEnd is what the client of an ended stream is told.
func watchEnd(err error) error {
	if errors.Is(err, context.Canceled) {
		return rpctypes.ErrGRPCWatchCanceled
	}
	return err
}
