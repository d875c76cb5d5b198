package etcd3

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
)

// watchServer is etcdserverpb.Watch.
type watchServer struct {
	pb.UnimplementedWatchServer
	store    Store
	permit   permit
	metrics  *metrics
	interval time.Duration // of progress notices
	maxBytes int           // of one response to a watcher that asked for fragments
}

// ctrlBuffer lets the receiving side answer a burst of creates and cancels without waiting for the network.
const ctrlBuffer = 16

// noWatchID is the id in responses that belong to no watcher: a refused create, and progress of the whole stream.
const noWatchID = -1

// watchStream is one gRPC stream with any number of watchers on it. Two goroutines share it: receive (watchrecv.go) takes
// requests, send (watchsend.go) is the only one that writes to the client.
//
// Clients may choose watcher ids and use one again after cancelling it. Events of the first watcher can then still be on
// their way from mvcc, and must not reach the second. So each watcher has an mvcc id that is never used twice on a stream,
// and the client's id is put in its place at the last moment.
type watchStream struct {
	*watchServer
	stream pb.Watch_WatchServer
	events mvcc.WatchStream
	// ctrl carries created and canceled responses from receive to send, in order.
	ctrl   chan control
	closed chan struct{} // closed when the stream ends; receive may outlive it until Recv returns

	mu       sync.Mutex // guards the fields below; held while a watcher is made, so that send never sees events of an unknown one
	watchers map[mvcc.WatchID]*watcher
	byID     map[int64]*watcher // by the client's id
	nextID   int64
}

// watcher is one watch on a stream.
type watcher struct {
	id       int64 // the client's
	mvccID   mvcc.WatchID
	prevKV   bool
	fragment bool

	// announced: the created response is out; before it no event may go. Owned by send.
	announced bool
	// quiet: this watcher asked for progress notices and has had no event since the last tick. Guarded by watchStream.mu.
	progress, quiet bool
}

// control is a response that receive asks send to deliver; watcher is set on the one that announces it.
type control struct {
	resp    *pb.WatchResponse
	watcher *watcher
}

// Watch serves one stream until the client goes away or the guard ends it. A client that only closes its own side keeps
// its watchers: that is how the JSON gateway sends its one request.
func (s *watchServer) Watch(stream pb.Watch_WatchServer) error {
	ws := &watchStream{
		watchServer: s,
		stream:      stream,
		events:      s.store.Watchable().NewWatchStream(),
		ctrl:        make(chan control, ctrlBuffer),
		closed:      make(chan struct{}),
		watchers:    map[mvcc.WatchID]*watcher{},
		byID:        map[int64]*watcher{},
	}
	failed := make(chan error, 2)
	go func() {
		if err := ws.receive(); err != nil {
			failed <- err
		}
	}()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if err := ws.send(); err != nil {
			failed <- err
		}
	}()
	var err error
	select {
	case err = <-failed:
	case <-stream.Context().Done():
		err = context.Cause(stream.Context())
	}
	close(ws.closed)
	ws.events.Close()
	<-sent
	return watchEnd(err)
}

// progressInterval adds up to a tenth, so that watches opened together, as after a restart, do not notify together.
func (s *watchServer) progressInterval() time.Duration {
	return s.interval + rand.N(s.interval/10+1)
}

// header is the header of a response that speaks of the store at rev.
func (s *watchServer) header(rev int64) *pb.ResponseHeader {
	return s.store.HeaderAt(rev)
}
