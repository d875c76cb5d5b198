package dcsclient

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"quorate/internal/boottime"
)

// Grant implements Client. The id is chosen here, so that a grant whose answer was lost can be asked for again without
// leaving a second lease behind.
func (c *Etcd) Grant(ctx context.Context, ttl time.Duration) (int64, error) {
	req := &pb.LeaseGrantRequest{ID: 1 + rand.Int64N(math.MaxInt64-1), TTL: wholeSeconds(ttl)}
	attempts := 0
	err := c.repeatable(ctx, func(ctx context.Context, e *endpoint) error {
		attempts++
		_, err := e.lease.LeaseGrant(ctx, req)
		if attempts > 1 && statusOf(err).Message() == text(rpctypes.ErrGRPCLeaseExist) {
			return nil // an earlier attempt, whose answer was lost, has made it
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return req.ID, nil
}

// Revoke implements Client.
func (c *Etcd) Revoke(ctx context.Context, lease int64) error {
	err := c.repeatable(ctx, func(ctx context.Context, e *endpoint) error {
		_, err := e.lease.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: lease})
		return err
	})
	if errors.Is(err, ErrLeaseNotFound) {
		return nil
	}
	return err
}

// Adopt implements Client. The store knows the ttl.
func (c *Etcd) Adopt(ctx context.Context, lease int64, _ time.Duration) (time.Duration, boottime.Instant, error) {
	return c.KeepAlive(ctx, lease)
}
