package etcd3

import (
	"context"
	"log/slog"
	"regexp"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// maintenanceServer is etcdserverpb.Maintenance; Snapshot is in snapshot.go.
type maintenanceServer struct {
	pb.UnimplementedMaintenanceServer
	store   Store
	permit  permit
	version string
	log     *slog.Logger
}

// Alarm lists alarms for every user and raises or disarms them for root.
func (s *maintenanceServer) Alarm(ctx context.Context, r *pb.AlarmRequest) (*pb.AlarmResponse, error) {
	permitted := s.permit.user
	if r.Action != pb.AlarmRequest_GET {
		permitted = s.permit.admin
	}
	if err := permitted(ctx); err != nil {
		return nil, err
	}
	resp, err := s.store.Alarm(ctx, r)
	if err != nil {
		return nil, toStatus(err)
	}
	fill(s.store, &resp.Header)
	return resp, nil
}

// Status describes this member. It must answer while there is no leader: `etcdctl endpoint status` is how one finds out.
func (s *maintenanceServer) Status(ctx context.Context, _ *pb.StatusRequest) (*pb.StatusResponse, error) {
	if err := s.permit.user(ctx); err != nil {
		return nil, err
	}
	resp, err := s.store.Status(ctx)
	if err != nil {
		return nil, toStatus(err)
	}
	fill(s.store, &resp.Header)
	resp.Version = s.version
	if resp.Leader == 0 && len(resp.Errors) == 0 {
		resp.Errors = []string{rpctypes.ErrorDesc(rpctypes.ErrGRPCNoLeader)}
	}
	return resp, nil
}

func (s *maintenanceServer) Defragment(ctx context.Context, _ *pb.DefragmentRequest) (*pb.DefragmentResponse, error) {
	if err := s.permit.admin(ctx); err != nil {
		return nil, err
	}
	s.log.Info("defragmenting")
	if err := s.store.Defragment(ctx); err != nil {
		return nil, toStatus(err)
	}
	s.log.Info("defragmented")
	return &pb.DefragmentResponse{}, nil // etcd's has no header
}

func (s *maintenanceServer) Hash(ctx context.Context, _ *pb.HashRequest) (*pb.HashResponse, error) {
	if err := s.permit.admin(ctx); err != nil {
		return nil, err
	}
	header := s.store.Header()
	hash, err := s.store.Hash(ctx)
	if err != nil {
		return nil, toStatus(err)
	}
	return &pb.HashResponse{Header: header, Hash: hash}, nil
}

func (s *maintenanceServer) HashKV(ctx context.Context, r *pb.HashKVRequest) (*pb.HashKVResponse, error) {
	if err := s.permit.admin(ctx); err != nil {
		return nil, err
	}
	resp, err := s.store.HashKV(ctx, r.Revision)
	if err != nil {
		return nil, toStatus(err)
	}
	fill(s.store, &resp.Header)
	return resp, nil
}

// MoveLeader is served by the leader alone; etcdctl looks for it first.
func (s *maintenanceServer) MoveLeader(ctx context.Context, r *pb.MoveLeaderRequest) (*pb.MoveLeaderResponse, error) {
	if err := s.permit.admin(ctx); err != nil {
		return nil, err
	}
	header := s.store.Header()
	if leader := s.store.Leader(); leader == 0 || leader != header.MemberId {
		return nil, rpctypes.ErrGRPCNotLeader
	}
	if err := s.store.MoveLeader(ctx, r.TargetID); err != nil {
		return nil, toStatus(err)
	}
	return &pb.MoveLeaderResponse{Header: s.store.Header()}, nil
}

// versionFormat is that of a version to go down to; the third part may be left out.
var versionFormat = regexp.MustCompile(`^\d+\.\d+(\.\d+)?$`)

// Downgrade knows no version to go down to: all members of a cluster run one protocol. It says so in etcd's words.
func (s *maintenanceServer) Downgrade(ctx context.Context, r *pb.DowngradeRequest) (*pb.DowngradeResponse, error) {
	if err := s.permit.admin(ctx); err != nil {
		return nil, err
	}
	switch r.Action {
	case pb.DowngradeRequest_CANCEL:
		return nil, rpctypes.ErrGRPCNoInflightDowngrade
	case pb.DowngradeRequest_VALIDATE, pb.DowngradeRequest_ENABLE:
	default:
		return nil, status.Error(codes.Unknown, "etcdserver: unknown method")
	}
	if !versionFormat.MatchString(r.Version) {
		return nil, rpctypes.ErrGRPCWrongDowngradeVersionFormat
	}
	return nil, rpctypes.ErrGRPCInvalidDowngradeTargetVersion
}
