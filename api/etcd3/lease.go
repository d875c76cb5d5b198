package etcd3

import (
	"context"
	"errors"
	"io"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/lease"
)

// leaseServer is etcdserverpb.Lease.
type leaseServer struct {
	pb.UnimplementedLeaseServer
	store   Store
	permit  permit
	metrics *metrics
}

func (s *leaseServer) LeaseGrant(ctx context.Context, r *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	if err := s.permit.user(ctx); err != nil {
		return nil, err
	}
	resp, err := s.store.LeaseGrant(ctx, r)
	if err != nil {
		return nil, toStatus(err)
	}
	fill(s.store, &resp.Header)
	return resp, nil
}

func (s *leaseServer) LeaseRevoke(ctx context.Context, r *pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error) {
	if err := s.permit.user(ctx); err != nil {
		return nil, err
	}
	resp, err := s.store.LeaseRevoke(ctx, r)
	if err != nil {
		return nil, toStatus(err)
	}
	fill(s.store, &resp.Header)
	return resp, nil
}

// LeaseTimeToLive answers a lease that is gone with TTL -1 and no error, as etcd does.
func (s *leaseServer) LeaseTimeToLive(ctx context.Context, r *pb.LeaseTimeToLiveRequest) (*pb.LeaseTimeToLiveResponse, error) {
	if err := s.permit.user(ctx); err != nil {
		return nil, err
	}
	if r.Keys {
		if err := s.permit.lease(ctx, r.ID, false); err != nil {
			return nil, err
		}
	}
	resp, err := s.store.LeaseTimeToLive(ctx, r)
	if errors.Is(err, lease.ErrLeaseNotFound) {
		resp, err = &pb.LeaseTimeToLiveResponse{ID: r.ID, TTL: -1}, nil
	}
	if err != nil {
		return nil, toStatus(err)
	}
	fill(s.store, &resp.Header)
	return resp, nil
}

func (s *leaseServer) LeaseLeases(ctx context.Context, r *pb.LeaseLeasesRequest) (*pb.LeaseLeasesResponse, error) {
	if err := s.permit.user(ctx); err != nil {
		return nil, err
	}
	resp, err := s.store.LeaseLeases(ctx, r)
	if err != nil {
		return nil, toStatus(err)
	}
	for _, l := range resp.Leases {
		if err := s.permit.lease(ctx, l.ID, false); err != nil {
			return nil, err
		}
	}
	fill(s.store, &resp.Header)
	return resp, nil
}

// LeaseKeepAlive answers the requests of the stream in their order until the client closes its side. Answering has a goroutine of
// its own, because Recv does not return when the stream's context is cancelled from this side.
func (s *leaseServer) LeaseKeepAlive(stream pb.Lease_LeaseKeepAliveServer) error {
	done := make(chan error, 1)
	go func() { done <- s.keepAlives(stream) }()
	select {
	case err := <-done:
		return err
	case <-stream.Context().Done():
		return context.Cause(stream.Context())
	}
}

// maxRenewing is how many requests of one stream are under way at once. Whatever waits at the same time is confirmed by one
// round of messages between the members; one after the other, each would take a round of its own.
const maxRenewing = 64

// renewal is the answer to one request.
type renewal struct {
	resp *pb.LeaseKeepAliveResponse
	err  error
}

func (s *leaseServer) keepAlives(stream pb.Lease_LeaseKeepAliveServer) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	answers := make(chan chan renewal, maxRenewing)
	received := make(chan error, 1)
	go func() {
		defer close(answers)
		received <- s.receiveKeepAlives(ctx, stream, answers)
	}()
	for answer := range answers {
		r := <-answer
		if r.err != nil {
			return r.err
		}
		if err := stream.Send(r.resp); err != nil {
			s.metrics.streamFailed(stream.Context(), "send", "lease-keepalive", err)
			return err
		}
	}
	return <-received
}

// receiveKeepAlives begins a renewal for each request and puts its answer to come into answers, in the order of the requests.
func (s *leaseServer) receiveKeepAlives(ctx context.Context, stream pb.Lease_LeaseKeepAliveServer, answers chan<- chan renewal) error {
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			s.metrics.streamFailed(stream.Context(), "receive", "lease-keepalive", err)
			return err
		}
		answer := make(chan renewal, 1)
		select {
		case answers <- answer:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		go func() {
			resp, err := s.renew(ctx, req.ID)
			answer <- renewal{resp, err}
		}()
	}
}

// renew extends one lease. A lease that is gone is an answer with TTL 0, not an error. The header is taken first: were it
// taken after, the answer could carry the revision at which the lease had already been revoked again.
func (s *leaseServer) renew(ctx context.Context, id int64) (*pb.LeaseKeepAliveResponse, error) {
	resp := &pb.LeaseKeepAliveResponse{ID: id, Header: s.store.Header()}
	if err := s.permit.lease(ctx, id, true); err != nil {
		return nil, err
	}
	ttl, err := s.store.LeaseRenew(ctx, id)
	if errors.Is(err, lease.ErrLeaseNotFound) {
		ttl, err = 0, nil
	}
	if err != nil {
		return nil, toStatus(err)
	}
	resp.TTL = ttl
	return resp, nil
}
