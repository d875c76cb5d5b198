package etcd3

import (
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// send writes to the client whatever receive and mvcc have for it, until the stream is closed (nil) or breaks.
func (ws *watchStream) send() error {
	// mvcc counts events that wait in channels; what is left when the stream ends waits no more.
	defer func() {
		<-ws.closed
		for resp := range ws.events.Chan() {
			mvcc.ReportEventReceived(len(resp.Events))
		}
	}()
	progress := time.NewTicker(ws.progressInterval())
	defer progress.Stop()
	for {
		var err error
		select {
		case resp, ok := <-ws.events.Chan():
			if !ok {
				return nil
			}
			mvcc.ReportEventReceived(len(resp.Events))
			err = ws.sendEvents(resp)
		case c := <-ws.ctrl:
			err = ws.sendControl(c)
		case <-progress.C:
			ws.noticeQuiet()
		case <-ws.closed:
			return nil
		}
		if err != nil {
			ws.metrics.streamFailed(ws.stream.Context(), "send", "watch", err)
			return err
		}
	}
}

func (ws *watchStream) sendControl(c control) error {
	if c.watcher != nil {
		c.watcher.announced = true
	}
	return ws.stream.Send(c.resp)
}

func (ws *watchStream) sendEvents(resp mvcc.WatchResponse) error {
	if resp.WatchID == noWatchID {
		return ws.sendProgressOfAll(resp.Revision)
	}
	w := ws.take(resp)
	if w == nil {
		return nil // cancelled meanwhile
	}
	if err := ws.announce(w); err != nil {
		return err
	}
	if !w.announced {
		return nil // the stream is closing
	}
	if resp.CompactRevision != 0 {
		ws.drop(w)
	}
	return ws.deliver(w, resp)
}

// take is the watcher of a response, and notes that it was not quiet.
func (ws *watchStream) take(resp mvcc.WatchResponse) *watcher {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w := ws.watchers[resp.WatchID]
	if w != nil && len(resp.Events) > 0 {
		w.quiet = false
	}
	return w
}

// announce sends control responses until the one that announces w has gone: the client must know the id before it sees
// events under it. That response is on its way, because receive queues it right after it has made the watcher.
func (ws *watchStream) announce(w *watcher) error {
	for !w.announced {
		select {
		case c := <-ws.ctrl:
			if err := ws.sendControl(c); err != nil {
				return err
			}
		case <-ws.closed:
			return nil
		}
	}
	return nil
}

// sendProgressOfAll tells the client that every watcher has seen all up to rev. It goes behind the created responses that
// are queued: a watcher made before the notice was asked for is covered by it and must be known first.
func (ws *watchStream) sendProgressOfAll(rev int64) error {
	for {
		select {
		case c := <-ws.ctrl:
			if err := ws.sendControl(c); err != nil {
				return err
			}
			continue
		default:
		}
		return ws.stream.Send(&pb.WatchResponse{Header: ws.header(rev), WatchId: noWatchID})
	}
}

func (ws *watchStream) deliver(w *watcher, resp mvcc.WatchResponse) error {
	out := &pb.WatchResponse{
		Header:          ws.header(resp.Revision),
		WatchId:         w.id,
		Events:          resp.Events,
		CompactRevision: resp.CompactRevision,
	}
	if resp.CompactRevision != 0 {
		out.Canceled, out.CancelReason = true, rpctypes.ErrCompacted.Error()
	}
	if w.prevKV {
		out.Events = ws.withPrevious(resp.Events)
	}
	if !w.fragment {
		return ws.stream.Send(out)
	}
	for _, part := range fragments(out, ws.maxBytes) {
		if err := ws.stream.Send(part); err != nil {
			return err
		}
	}
	return nil
}

// withPrevious adds to each event the key as it was before, unless compaction has taken that. The events are copied: mvcc
// gives the same ones to every watcher.
func (ws *watchStream) withPrevious(events []*mvccpb.Event) []*mvccpb.Event {
	out := make([]*mvccpb.Event, len(events))
	for i, e := range events {
		out[i] = e
		if e.Type == mvccpb.Event_PUT && e.Kv.CreateRevision == e.Kv.ModRevision {
			continue // created by this event: there was none
		}
		before := mvcc.RangeOptions{Rev: e.Kv.ModRevision - 1}
		r, err := ws.store.Watchable().Range(ws.stream.Context(), e.Kv.Key, nil, before)
		if err == nil && len(r.KVs) > 0 {
			out[i] = &mvccpb.Event{Type: e.Type, Kv: e.Kv, PrevKv: r.KVs[0]}
		}
	}
	return out
}

// noticeQuiet asks for a notice to each watcher that wants one and has been silent for an interval.
func (ws *watchStream) noticeQuiet() {
	ws.mu.Lock()
	var quiet []mvcc.WatchID
	for id, w := range ws.watchers {
		if w.progress && w.quiet {
			quiet = append(quiet, id)
		}
		w.quiet = true
	}
	ws.mu.Unlock()
	for _, id := range quiet {
		ws.events.RequestProgress(id)
	}
}

// fragments cuts a response into parts of less than limit bytes, each with at least one event; all but the last carry the
// fragment mark. Only a watcher that asked for it may be given a revision in parts.
func fragments(resp *pb.WatchResponse, limit int) []*pb.WatchResponse {
	if len(resp.Events) < 2 || proto.Size(resp) < limit {
		return []*pb.WatchResponse{resp}
	}
	var parts []*pb.WatchResponse
	var part *pb.WatchResponse
	var size int
	for _, e := range resp.Events {
		add := eventSize(e)
		if part == nil || size+add >= limit && len(part.Events) > 0 {
			part = &pb.WatchResponse{
				Header: resp.Header, WatchId: resp.WatchId, Created: resp.Created, Canceled: resp.Canceled,
				CompactRevision: resp.CompactRevision, CancelReason: resp.CancelReason, Fragment: true,
			}
			size = proto.Size(part)
			parts = append(parts, part)
		}
		part.Events = append(part.Events, e)
		size += add
	}
	part.Fragment = false
	return parts
}

// eventSize is what an event adds to the encoded response: itself, its length and the tag of the field (11, two bytes at
// most).
func eventSize(e *mvccpb.Event) int {
	return protowire.SizeTag(11) + protowire.SizeBytes(proto.Size(e))
}
