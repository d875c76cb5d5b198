package solostore

import (
	"context"
	"math"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/lease"
)

// LeaseGrant implements the store interface.
func (s *Store) LeaseGrant(_ context.Context, r *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	s.write.Lock()
	defer s.write.Unlock()
	id := lease.LeaseID(r.ID)
	for id == lease.NoLease {
		s.nextID++
		if s.lessor.Lookup(lease.LeaseID(s.nextID)) == nil {
			id = lease.LeaseID(s.nextID)
		}
	}
	l, err := s.lessor.Grant(id, r.TTL)
	if err != nil {
		return nil, err
	}
	return &pb.LeaseGrantResponse{Header: s.Header(), ID: int64(l.ID), TTL: l.TTL()}, nil
}

// LeaseRevoke implements the store interface.
func (s *Store) LeaseRevoke(_ context.Context, r *pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.lessor.Revoke(lease.LeaseID(r.ID)); err != nil {
		return nil, err
	}
	return &pb.LeaseRevokeResponse{Header: s.Header()}, nil
}

// LeaseRenew implements the store interface.
func (s *Store) LeaseRenew(_ context.Context, id int64) (int64, error) {
	if err := s.ready(); err != nil {
		return 0, err
	}
	return s.lessor.Renew(lease.LeaseID(id))
}

// LeaseTimeToLive implements the store interface.
func (s *Store) LeaseTimeToLive(_ context.Context, r *pb.LeaseTimeToLiveRequest) (*pb.LeaseTimeToLiveResponse, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	l := s.lessor.Lookup(lease.LeaseID(r.ID))
	if l == nil {
		return nil, lease.ErrLeaseNotFound
	}
	resp := &pb.LeaseTimeToLiveResponse{
		Header: s.Header(), ID: r.ID, TTL: int64(math.Ceil(l.Remaining().Seconds())), GrantedTTL: l.TTL(),
	}
	if r.Keys {
		for _, k := range l.Keys() {
			resp.Keys = append(resp.Keys, []byte(k))
		}
	}
	return resp, nil
}

// LeaseLeases implements the store interface.
func (s *Store) LeaseLeases(context.Context, *pb.LeaseLeasesRequest) (*pb.LeaseLeasesResponse, error) {
	if err := s.ready(); err != nil {
		return nil, err
	}
	resp := &pb.LeaseLeasesResponse{Header: s.Header()}
	for _, l := range s.lessor.Leases() {
		resp.Leases = append(resp.Leases, &pb.LeaseStatus{ID: int64(l.ID)})
	}
	return resp, nil
}
