package etcd3

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// fill completes the header of an answer: who answers and in which term always come from this node as it is now, the
// revision only when the store did not say at which one it answered.
func fill(s Store, h **pb.ResponseHeader) {
	now := s.Header()
	if *h == nil {
		*h = now
		return
	}
	(*h).ClusterId, (*h).MemberId, (*h).RaftTerm = now.ClusterId, now.MemberId, now.RaftTerm
	if (*h).Revision == 0 {
		(*h).Revision = now.Revision
	}
}

// permit is the rights of callers as far as the front end must ask for them itself.
type permit struct{ Authorizer }

func newPermit(s Store) permit {
	a, _ := s.(Authorizer)
	return permit{a}
}

func (p permit) admin(ctx context.Context) error {
	if p.Authorizer == nil {
		return nil
	}
	return toStatus(p.AdminPermitted(ctx))
}

func (p permit) watch(ctx context.Context, key, end []byte) error {
	if p.Authorizer == nil {
		return nil
	}
	return toStatus(p.RangePermitted(ctx, key, end))
}

func (p permit) root(ctx context.Context) context.Context {
	if p.Authorizer == nil {
		return ctx
	}
	return p.WithRoot(ctx)
}
