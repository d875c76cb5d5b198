package dcsclient

import (
	"context"
	"errors"
	"fmt"
	"io"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Watch implements Client.
func (c *Etcd) Watch(ctx context.Context, prefix string, from int64) <-chan Update {
	updates := make(chan Update)
	running := c.background(func() {
		defer close(updates)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(c.ctx, cancel)()
		deliver(ctx, updates, Update{Err: c.watch(ctx, prefix, from, updates)})
	})
	if !running {
		close(updates)
	}
	return updates
}

// watch runs one watch on one host to its end.
func (c *Etcd) watch(ctx context.Context, prefix string, from int64, updates chan<- Update) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	e, stream, err := c.openWatch(ctx, prefix, from)
	if err != nil {
		return err
	}
	suspected := e.suspected()
	go func() {
		select {
		case <-suspected:
			cancel(fmt.Errorf("%w: %s does not answer", ErrUnavailable, e.name))
		case <-ctx.Done():
		}
	}()
	for {
		resp, err := stream.Recv()
		if err == nil {
			err = watchFault(resp)
		}
		if err != nil {
			return c.watchError(ctx, err)
		}
		if u, ok := toUpdate(resp); ok && !deliver(ctx, updates, u) {
			return c.watchError(ctx, ctx.Err())
		}
	}
}

// openWatch finds a host on which the watch stands: one that has answered that it is created.
func (c *Etcd) openWatch(ctx context.Context, prefix string, from int64) (*endpoint, pb.Watch_WatchClient, error) {
	var stream pb.Watch_WatchClient
	var host *endpoint
	req := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{
		Key: prefixStart(prefix), RangeEnd: prefixEnd(prefix), StartRevision: from, ProgressNotify: true,
	}}}
	err := c.repeatable(ctx, func(attempt context.Context, e *endpoint) (err error) {
		// The stream lives as long as the watch; only its opening has the attempt's time limit.
		life, end := context.WithCancel(clientv3.WithRequireLeader(withTokenOf(attempt, ctx)))
		stop := context.AfterFunc(attempt, end)
		s, err := startWatch(life, e, req)
		if !stop() && err == nil {
			err = context.Cause(attempt)
		}
		if err == nil {
			err = c.sameCluster(s.created)
		}
		if err != nil {
			end()
			return err
		}
		stream, host = s.stream, e
		return nil
	})
	return host, stream, err
}

type started struct {
	stream  pb.Watch_WatchClient
	created *pb.WatchResponse
}

func startWatch(ctx context.Context, e *endpoint, req *pb.WatchRequest) (started, error) {
	stream, err := e.watch.Watch(ctx)
	if err != nil {
		return started{}, err
	}
	if err := stream.Send(req); err != nil && !errors.Is(err, io.EOF) { // EOF: the cause is with Recv
		return started{}, err
	}
	resp, err := stream.Recv()
	if err != nil {
		return started{}, err
	}
	if err := watchFault(resp); err != nil {
		return started{}, err
	}
	return started{stream, resp}, nil
}

// sameCluster refuses a host of another cluster than the snapshot's: its revisions mean something else.
func (c *Etcd) sameCluster(resp *pb.WatchResponse) error {
	want, got := c.cluster.Load(), resp.Header.GetClusterId()
	if want != 0 && got != want {
		return fmt.Errorf("%w: %x, not %x", ErrClusterChanged, got, want)
	}
	return nil
}

// watchFault is why a response ends the watch, or nil.
func watchFault(resp *pb.WatchResponse) error {
	switch {
	case resp.CompactRevision != 0:
		return fmt.Errorf("%w: up to %d", ErrCompacted, resp.CompactRevision)
	case resp.Canceled && resp.CancelReason != "":
		return classify(reasonError(resp.CancelReason))
	case resp.Canceled:
		return fmt.Errorf("%w: the store ended the watch", ErrUnavailable)
	}
	return nil
}

// toUpdate is a response as the caller sees it. A created response is none: its revision is that of the store, which the
// watch may not have caught up with. For the same reason events speak for their own revision alone.
func toUpdate(resp *pb.WatchResponse) (Update, bool) {
	if resp.Created {
		return Update{}, false
	}
	if len(resp.Events) == 0 {
		return Update{Revision: resp.Header.GetRevision()}, true
	}
	u := Update{Events: make([]Event, len(resp.Events))}
	for i, e := range resp.Events {
		u.Events[i] = fromEvent(e)
	}
	u.Revision = resp.Events[len(resp.Events)-1].Kv.ModRevision
	return u, true
}

func (c *Etcd) watchError(ctx context.Context, err error) error {
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return classify(err)
}

// deliver hands over an update, unless the caller has gone.
func deliver(ctx context.Context, updates chan<- Update, u Update) bool {
	select {
	case updates <- u:
		return true
	case <-ctx.Done():
		return false
	}
}
