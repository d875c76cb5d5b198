package etcd3

import "context"

// permit asks the store what callers may do, as far as no Store method does so by itself.
type permit struct {
	ranges RangeAuthorizer // nil: everything is permitted
	admins AdminAuthorizer // nil: see AdminAuthorizer
	rooter RootContext     // nil: the store knows no root
}

func newPermit(s Store) permit {
	var p permit
	p.ranges, _ = s.(RangeAuthorizer)
	p.admins, _ = s.(AdminAuthorizer)
	p.rooter, _ = s.(RootContext)
	return p
}

func (p permit) watch(ctx context.Context, key, end []byte) error {
	if p.ranges == nil {
		return nil
	}
	return toStatus(p.ranges.AuthRangePermitted(ctx, key, end))
}

func (p permit) admin(ctx context.Context) error {
	if p.admins == nil {
		return p.watch(ctx, []byte{0}, []byte{0})
	}
	return toStatus(p.admins.AuthAdminPermitted(ctx))
}

func (p permit) root(ctx context.Context) context.Context {
	if p.rooter == nil {
		return ctx
	}
	return p.rooter.WithRoot(ctx)
}
