package etcd3

import (
	"context"
	"net"
	"net/url"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// clusterServer is etcdserverpb.Cluster. Changing the membership is kept for root. The list is open: clients discover
// their endpoints by it, and Patroni up to 4.1.3 does so before it logs in (etcd 3.5.28 and later ask for a user).
type clusterServer struct {
	pb.UnimplementedClusterServer
	store  Store
	permit permit
}

func (s *clusterServer) MemberAdd(ctx context.Context, r *pb.MemberAddRequest) (*pb.MemberAddResponse, error) {
	if err := s.check(ctx, r.PeerURLs); err != nil {
		return nil, err
	}
	resp, err := s.store.MemberAdd(ctx, r)
	if err != nil {
		return nil, toStatus(err)
	}
	fill(s.store, &resp.Header)
	return resp, nil
}

func (s *clusterServer) MemberUpdate(ctx context.Context, r *pb.MemberUpdateRequest) (*pb.MemberUpdateResponse, error) {
	if err := s.permit.admin(ctx); err != nil {
		return nil, err
	}
	if len(r.PeerURLs) == 0 || !peerURLsValid(r.PeerURLs) {
		return nil, s.badUpdate(ctx, r.ID)
	}
	resp, err := s.store.MemberUpdate(ctx, r)
	if err != nil {
		return nil, toStatus(err)
	}
	fill(s.store, &resp.Header)
	return resp, nil
}

// badUpdate is the refusal of an update whose URLs are none. As in etcd, a member that is not there is told first; one that is there
// keeps its URLs, where etcd takes whatever it is given and the member is never found again.
func (s *clusterServer) badUpdate(ctx context.Context, id uint64) error {
	list, err := s.store.MemberList(ctx, &pb.MemberListRequest{Linearizable: true})
	if err != nil {
		return toStatus(err)
	}
	if !slices.ContainsFunc(list.Members, func(m *pb.Member) bool { return m.ID == id }) {
		return rpctypes.ErrGRPCMemberNotFound
	}
	return rpctypes.ErrGRPCMemberBadURLs
}

func (s *clusterServer) MemberRemove(ctx context.Context, r *pb.MemberRemoveRequest) (*pb.MemberRemoveResponse, error) {
	if err := s.permit.admin(ctx); err != nil {
		return nil, err
	}
	resp, err := s.store.MemberRemove(ctx, r)
	if err != nil {
		return nil, toStatus(err)
	}
	fill(s.store, &resp.Header)
	return resp, nil
}

func (s *clusterServer) MemberPromote(ctx context.Context, r *pb.MemberPromoteRequest) (*pb.MemberPromoteResponse, error) {
	if err := s.permit.admin(ctx); err != nil {
		return nil, err
	}
	resp, err := s.store.MemberPromote(ctx, r)
	if err != nil {
		return nil, toStatus(err)
	}
	fill(s.store, &resp.Header)
	return resp, nil
}

func (s *clusterServer) MemberList(ctx context.Context, r *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	resp, err := s.store.MemberList(ctx, r)
	if err != nil {
		return nil, toStatus(err)
	}
	fill(s.store, &resp.Header)
	return resp, nil
}

func (s *clusterServer) check(ctx context.Context, peerURLs []string) error {
	if err := s.permit.admin(ctx); err != nil {
		return err
	}
	if !peerURLsValid(peerURLs) {
		return rpctypes.ErrGRPCMemberBadURLs
	}
	return nil
}

// peerURLsValid is etcd's rule for peer URLs: at least one, each http or https with host and port and without a path, or a unix socket.
func peerURLsValid(urls []string) bool {
	for _, text := range urls {
		u, err := url.Parse(text)
		if err == nil && (u.Scheme == "unix" || u.Scheme == "unixs") && u.Host+u.Path != "" {
			continue
		}
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Path != "" {
			return false
		}
		if _, _, err := net.SplitHostPort(u.Host); err != nil {
			return false
		}
	}
	return len(urls) > 0
}
