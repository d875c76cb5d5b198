package etcd3

import (
	"context"
	"strconv"
	"strings"
	"unicode/utf8"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// interceptor checks what a call says about itself in its metadata, before any service sees it.
type interceptor struct {
	store   Store
	permit  permit
	guard   *guard
	metrics *metrics
}

func (i *interceptor) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if i.isLearner() && !servedByLearner(req) {
		return nil, refusedByLearner(ctx)
	}
	needsLeader, err := i.readMetadata(ctx, "unary")
	if err != nil {
		return nil, err
	}
	if needsLeader && i.store.Leader() == 0 {
		return nil, rpctypes.ErrGRPCNoLeader
	}
	return next(i.asCaller(ctx), req)
}

// snapshotMethod is the one stream that a learner serves.
const snapshotMethod = "/etcdserverpb.Maintenance/Snapshot"

func (i *interceptor) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if i.isLearner() && info.FullMethod != snapshotMethod {
		return refusedByLearner(stream.Context())
	}
	needsLeader, err := i.readMetadata(stream.Context(), "stream")
	if err != nil {
		return err
	}
	if needsLeader && i.store.Leader() == 0 {
		return rpctypes.ErrGRPCNoLeader
	}
	ctx, release := i.guard.add(i.asCaller(stream.Context()), needsLeader)
	defer release()
	err = next(srv, streamWithContext{stream, ctx})
	// A handler that knows only "cancelled" does not hide why.
	if cause := context.Cause(ctx); cause != nil && ctx.Err() != nil {
		if s, ok := status.FromError(cause); ok {
			return s.Err()
		}
	}
	return err
}

// readMetadata counts the call by the API version that its client claims and says whether the client wants to be refused
// while there is no leader (clientv3.WithRequireLeader, which etcdctl watch and vip-manager set).
func (i *interceptor) readMetadata(ctx context.Context, kind string) (needsLeader bool, err error) {
	version := "unknown"
	if v := metadata.ValueFromIncomingContext(ctx, rpctypes.MetadataClientAPIVersionKey); len(v) > 0 {
		version = v[0]
	}
	if !utf8.ValidString(version) {
		return false, rpctypes.ErrGRPCInvalidClientAPIVersion
	}
	i.metrics.request(kind, versionLabel(version)).Inc()
	want := metadata.ValueFromIncomingContext(ctx, rpctypes.MetadataRequireLeaderKey)
	return len(want) > 0 && want[0] == rpctypes.MetadataHasLeader, nil
}

// versionLabel bounds the label: the version is the client's word, and each new one would be a series for ever.
func versionLabel(version string) string {
	const longest = 16
	if len(version) > longest {
		return "unknown"
	}
	for _, r := range version {
		if (r < '0' || r > '9') && r != '.' {
			return "unknown"
		}
	}
	return version
}

// asCaller gives calls of this process on its own behalf the rights of root.
func (i *interceptor) asCaller(ctx context.Context) context.Context {
	if isTrusted(ctx) {
		return i.permit.root(ctx)
	}
	return ctx
}

func (i *interceptor) isLearner() bool {
	l, ok := i.store.(learner)
	return ok && l.IsLearner()
}

// refusedByLearner says that this member is a learner. Clients of etcd up to 3.5 turn to another member when the code is Unavailable, those of 3.6
// and later when it is FailedPrecondition: each looks for the very error of its own version.
func refusedByLearner(ctx context.Context) error {
	md, _ := metadata.FromIncomingContext(ctx)
	if v := md.Get(rpctypes.MetadataClientAPIVersionKey); len(v) > 0 && laterThan35(v[0]) {
		return rpctypes.ErrGRPCNotSupportedForLearner
	}
	return status.Error(codes.Unavailable, rpctypes.ErrorDesc(rpctypes.ErrGRPCNotSupportedForLearner))
}

func laterThan35(version string) bool {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, errA := strconv.Atoi(major)
	b, errB := strconv.Atoi(minor)
	return errA == nil && errB == nil && (a > 3 || a == 3 && b > 5)
}

func servedByLearner(req any) bool {
	switch r := req.(type) {
	case *pb.StatusRequest:
		return true
	case *pb.RangeRequest:
		return r.Serializable
	}
	return false
}

// streamWithContext is a stream whose context ends with its guard.
type streamWithContext struct {
	grpc.ServerStream
	ctx context.Context
}

func (s streamWithContext) Context() context.Context { return s.ctx }
