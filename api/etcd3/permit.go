package etcd3

import "context"

// permit asks the store what callers may do, as far as no Store method does so by itself. Without an Authorizer everything
// is permitted.
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

// user lets in whoever is known. etcd asks for it since 3.5.28 (CVE-2026-33413).
func (p permit) user(ctx context.Context) error {
	if p.Authorizer == nil {
		return nil
	}
	return toStatus(p.UserKnown(ctx))
}

// lease asks for the right to all keys on a lease.
func (p permit) lease(ctx context.Context, id int64, change bool) error {
	if p.Authorizer == nil {
		return nil
	}
	return toStatus(p.LeasePermitted(ctx, id, change))
}

func (p permit) root(ctx context.Context) context.Context {
	if p.Authorizer == nil {
		return ctx
	}
	return p.WithRoot(ctx)
}
