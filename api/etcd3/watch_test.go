package etcd3_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"quorate/api/etcd3"
)

// watching is one raw watch stream.
type watching struct {
	testing.TB
	pb.Watch_WatchClient
}

func (f *frontEnd) watch() watching {
	f.Helper()
	s, err := pb.NewWatchClient(f.conn).Watch(f.ctx())
	if err != nil {
		f.Fatal(err)
	}
	return watching{f.TB, s}
}

func (w watching) send(r *pb.WatchRequest) {
	w.Helper()
	if err := w.Send(r); err != nil {
		w.Fatal(err)
	}
}

func (w watching) request(c *pb.WatchCreateRequest) {
	w.Helper()
	w.send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: c}})
}

func (w watching) cancel(id int64) {
	w.Helper()
	w.send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CancelRequest{CancelRequest: &pb.WatchCancelRequest{WatchId: id}}})
}

func (w watching) next() *pb.WatchResponse {
	w.Helper()
	r, err := w.Recv()
	if err != nil {
		w.Fatal(err)
	}
	return r
}

// create makes a watcher and returns its id; the created response must be the next thing that comes.
func (w watching) create(c *pb.WatchCreateRequest) int64 {
	w.Helper()
	w.request(c)
	r := w.next()
	if !r.Created || r.Canceled || len(r.Events) != 0 {
		w.Fatalf("want created, got %v", r)
	}
	return r.WatchId
}

// events collects n events of one watcher.
func (w watching) events(id int64, n int) []*mvccpb.Event {
	w.Helper()
	var all []*mvccpb.Event
	for len(all) < n {
		r := w.next()
		if r.WatchId != id || r.Canceled {
			w.Fatalf("want events of watcher %d, got %v", id, r)
		}
		all = append(all, r.Events...)
	}
	if len(all) != n {
		w.Fatalf("want %d events, got %d", n, len(all))
	}
	return all
}

func prefix(p string) *pb.WatchCreateRequest {
	return &pb.WatchCreateRequest{Key: key(p), RangeEnd: []byte(p[:len(p)-1] + string(p[len(p)-1]+1))}
}

// A watch from a past revision has every event since, once and in order, and goes on with what comes.
func TestWatchReplaysWithoutGap(t *testing.T) {
	f := start(t)
	const history, more = 50, 50
	first := f.put("k/0", "v")
	for i := 1; i < history; i++ {
		f.put(fmt.Sprintf("k/%d", i%7), "v")
	}
	w := f.watch()
	req := prefix("k/")
	req.StartRevision = first
	id := w.create(req)
	for i := range more {
		f.put(fmt.Sprintf("k/%d", i%7), "v")
	}
	for i, e := range w.events(id, history+more) {
		if e.Kv.ModRevision != first+int64(i) {
			t.Fatalf("event %d has revision %d, want %d", i, e.Kv.ModRevision, first+int64(i))
		}
	}
}

func TestWatchPreviousAndFilters(t *testing.T) {
	f := start(t)
	w := f.watch()
	all := w.create(&pb.WatchCreateRequest{Key: key("k"), PrevKv: true})
	puts := w.create(&pb.WatchCreateRequest{Key: key("k"), Filters: []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NODELETE}})
	deletes := w.create(&pb.WatchCreateRequest{Key: key("k"), Filters: []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NOPUT}})
	f.put("k", "1")
	f.put("k", "2")
	f.delete("k")
	got := map[int64][]*mvccpb.Event{}
	for len(got[all]) < 3 || len(got[puts]) < 2 || len(got[deletes]) < 1 {
		r := w.next()
		got[r.WatchId] = append(got[r.WatchId], r.Events...)
	}
	if e := got[all]; e[0].PrevKv != nil || string(e[1].PrevKv.GetValue()) != "1" || string(e[2].PrevKv.GetValue()) != "2" {
		t.Errorf("previous values: %v", e)
	}
	for _, e := range got[puts] {
		if e.Type != mvccpb.Event_PUT || e.PrevKv != nil {
			t.Errorf("NODELETE without prev_kv let through %v", e)
		}
	}
	if e := got[deletes]; len(e) != 1 || e[0].Type != mvccpb.Event_DELETE {
		t.Errorf("NOPUT let through %v", e)
	}
}

// All events of one transaction come in one response.
func TestWatchKeepsRevisionsWhole(t *testing.T) {
	f := start(t)
	w := f.watch()
	w.create(prefix("k"))
	ops := make([]*pb.RequestOp, 100)
	for i := range ops {
		ops[i] = putOp(fmt.Sprintf("k%02d", i))
	}
	if _, err := f.kv().Txn(f.ctx(), &pb.TxnRequest{Success: ops}); err != nil {
		t.Fatal(err)
	}
	if r := w.next(); len(r.Events) != len(ops) {
		t.Errorf("%d of %d events in the response", len(r.Events), len(ops))
	}
}

func TestWatchFragments(t *testing.T) {
	const limit = 64 << 10 // of a request; a response to a fragmenting watcher may have 512 KiB more
	f := start(t, func(o *etcd3.Options) { o.MaxRequestBytes = limit })
	big := bytes.Repeat([]byte("v"), 40<<10)
	first := int64(0)
	const n = 40
	for i := range n {
		rev := f.put(fmt.Sprintf("k%02d", i), string(big))
		if i == 0 {
			first = rev
		}
	}
	w := f.watch()
	req := prefix("k")
	req.StartRevision, req.Fragment = first, true
	w.create(req)
	var parts, events int
	for events < n {
		r := w.next()
		parts++
		events += len(r.Events)
		if r.Fragment != (events < n) {
			t.Errorf("after %d of %d events fragment is %v", events, n, r.Fragment)
		}
	}
	if parts < 2 {
		t.Errorf("%d events of 40 KiB came in %d response", n, parts)
	}
}

func TestWatchCompacted(t *testing.T) {
	f := start(t)
	f.put("k", "1")
	rev := f.put("k", "2")
	f.put("k", "3")
	if _, err := f.kv().Compact(f.ctx(), &pb.CompactionRequest{Revision: rev, Physical: true}); err != nil {
		t.Fatal(err)
	}
	w := f.watch()
	id := w.create(&pb.WatchCreateRequest{Key: key("k"), StartRevision: rev - 1})
	r := w.next()
	if !r.Canceled || r.WatchId != id || r.CompactRevision != rev {
		t.Fatalf("want canceled with compact revision %d, got %v", rev, r)
	}
	// The stream lives on, and the dead watcher does not hold up its progress notices.
	w.create(&pb.WatchCreateRequest{Key: key("k")})
	w.send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}})
	if r := w.next(); r.WatchId != -1 || len(r.Events) != 0 || r.Header.Revision != rev+1 {
		t.Errorf("want progress at %d, got %v", rev+1, r)
	}
}

func TestWatchRefusals(t *testing.T) {
	f := start(t)
	w := f.watch()
	w.create(&pb.WatchCreateRequest{Key: key("k"), WatchId: 7})
	for name, c := range map[string]struct {
		req    *pb.WatchCreateRequest
		reason string
	}{
		"id in use":      {&pb.WatchCreateRequest{Key: key("k"), WatchId: 7}, "mvcc: duplicate watch ID provided on the WatchStream"},
		"start below 0":  {&pb.WatchCreateRequest{Key: key("k"), StartRevision: -1}, "etcdserver: mvcc: required revision has been compacted"},
		"end before key": {&pb.WatchCreateRequest{Key: key("k"), RangeEnd: key("a")}, "mvcc: watcher range is empty"},
	} {
		w.request(c.req)
		if r := w.next(); !r.Created || !r.Canceled || r.WatchId != -1 || r.CancelReason != c.reason {
			t.Errorf("%s: got %v", name, r)
		}
	}
}

// An id that is used again belongs to the new watcher alone, and the ids that the server picks go around those of the
// client.
func TestWatchIDReuse(t *testing.T) {
	f := start(t)
	w := f.watch()
	for range 20 {
		w.create(&pb.WatchCreateRequest{Key: key("a"), WatchId: 1})
		f.put("a", "v")
		w.cancel(1)
		for {
			r := w.next()
			if r.Canceled {
				break
			}
			if string(r.Events[0].Kv.Key) != "a" {
				t.Fatalf("event of another watcher: %v", r)
			}
		}
		w.create(&pb.WatchCreateRequest{Key: key("b"), WatchId: 1})
		f.put("b", "v")
		if e := w.events(1, 1); string(e[0].Kv.Key) != "b" {
			t.Fatalf("the second watcher got an event of the first: %v", e)
		}
		w.cancel(1)
		if r := w.next(); !r.Canceled || r.WatchId != 1 {
			t.Fatalf("want canceled, got %v", r)
		}
	}
	w.create(&pb.WatchCreateRequest{Key: key("k"), WatchId: 1})
	first := w.create(&pb.WatchCreateRequest{Key: key("k")})
	second := w.create(&pb.WatchCreateRequest{Key: key("k")})
	if first == second || first == 1 || second == 1 {
		t.Errorf("picked ids %d and %d beside 1", first, second)
	}
}

// A watch from a revision to come sees nothing before it.
func TestWatchFuture(t *testing.T) {
	f := start(t)
	rev := f.put("k", "1")
	w := f.watch()
	id := w.create(&pb.WatchCreateRequest{Key: key("k"), StartRevision: rev + 3})
	for range 4 {
		f.put("k", "v")
	}
	if e := w.events(id, 2); e[0].Kv.ModRevision != rev+3 || e[1].Kv.ModRevision != rev+4 {
		t.Errorf("got revisions %d and %d, want %d and %d", e[0].Kv.ModRevision, e[1].Kv.ModRevision, rev+3, rev+4)
	}
}

func TestWatchWholeKeySpace(t *testing.T) {
	f := start(t)
	w := f.watch()
	id := w.create(&pb.WatchCreateRequest{RangeEnd: []byte{0}})
	f.put("a", "v")
	f.put("\xff\xff", "v")
	w.events(id, 2)
}

// A quiet watcher that asked for it is told how far it has seen; the notice never runs ahead of events.
func TestWatchProgressNotify(t *testing.T) {
	f := start(t, func(o *etcd3.Options) { o.ProgressInterval = 100 * time.Millisecond })
	w := f.watch()
	id := w.create(&pb.WatchCreateRequest{Key: key("k"), ProgressNotify: true})
	rev := f.put("elsewhere", "v")
	for {
		r := w.next()
		if r.WatchId != id || len(r.Events) != 0 || r.Created || r.Canceled {
			t.Fatalf("want a notice, got %v", r)
		}
		if r.Header.Revision >= rev {
			return
		}
	}
}

// Under writes, a notice at revision r comes after every event up to r (etcd-io/etcd#15220).
func TestWatchProgressOrder(t *testing.T) {
	f := start(t)
	w := f.watch()
	w.create(prefix("k"))
	const writes = 200
	done := make(chan int64, 1)
	go func() {
		var last int64
		for range writes {
			resp, err := f.kv().Put(f.ctx(), &pb.PutRequest{Key: key("k1")})
			if err != nil {
				t.Error(err)
				break
			}
			last = resp.Header.Revision
		}
		done <- last
	}()
	ask := func() {
		w.send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}})
	}
	ask()
	seen, notices, events := int64(0), 0, 0
	for events < writes {
		r := w.next()
		ask() // an answer to every response: as many questions as the writes leave room for
		if r.WatchId == -1 {
			notices++
			seen = max(seen, r.Header.Revision)
			continue
		}
		for _, e := range r.Events {
			events++
			if e.Kv.ModRevision <= seen {
				t.Fatalf("event of revision %d after a notice at %d", e.Kv.ModRevision, seen)
			}
		}
	}
	<-done
	if notices == 0 {
		t.Error("no notice came at all")
	}
}

// Closing one's own side, as the JSON gateway does, keeps the watch.
func TestWatchHalfClosed(t *testing.T) {
	f := start(t)
	w := f.watch()
	id := w.create(&pb.WatchCreateRequest{Key: key("k")})
	if err := w.CloseSend(); err != nil {
		t.Fatal(err)
	}
	f.put("k", "v")
	w.events(id, 1)
}
