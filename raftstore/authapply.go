package raftstore

import (
	"context"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/auth"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.uber.org/zap"
	"golang.org/x/crypto/bcrypt"
)

// defaultTokenTTL is how long a simple token lives without being used, as in etcd.
const defaultTokenTTL = 300 * time.Second

// withDefaults is also the check of the token's kind.
func (o AuthOptions) withDefaults() (AuthOptions, error) {
	orDuration(&o.TokenTTL, defaultTokenTTL)
	if o.BcryptCost == 0 {
		o.BcryptCost = bcrypt.DefaultCost
	}
	if o.Token == "" {
		o.Token = "simple"
	}
	if o.BcryptCost < bcrypt.MinCost || o.BcryptCost > bcrypt.MaxCost {
		return o, fmt.Errorf("raftstore: AuthOptions.BcryptCost is %d, want %d to %d", o.BcryptCost, bcrypt.MinCost, bcrypt.MaxCost)
	}
	if _, err := auth.NewTokenProvider(zap.NewNop(), o.Token, nil, o.TokenTTL); err != nil {
		return o, fmt.Errorf("raftstore: AuthOptions.Token is %q: %w", o.Token, err)
	}
	return o, nil
}

func newAuthStore(lg *zap.Logger, be backend.Backend, applied func(uint64) <-chan struct{}, o AuthOptions) (auth.AuthStore, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	tokens, err := auth.NewTokenProvider(zap.NewNop(), o.Token, applied, o.TokenTTL)
	if err != nil {
		return nil, fmt.Errorf("make the token provider: %w", err)
	}
	return auth.NewAuthStore(lg, schema.NewAuthBackend(lg, be), tokens, o.BcryptCost), nil
}

// permit checks what the user may do, at the time of apply: permissions may have changed since the request came in.
func (s *state) permit(who *auth.AuthInfo, r *pb.InternalRaftRequest) error {
	if !s.auth.IsAuthEnabled() {
		return nil
	}
	switch {
	case r.Put != nil:
		return s.permitPut(who, r.Put)
	case r.DeleteRange != nil:
		return s.permitDelete(who, r.DeleteRange)
	case r.Txn != nil:
		return s.permitTxn(who, r.Txn)
	case r.LeaseRevoke != nil:
		return s.permitLease(who, r.LeaseRevoke.ID)
	case r.AuthUserGet != nil && r.AuthUserGet.Name == who.Username,
		r.AuthRoleGet != nil && s.auth.HasRole(who.Username, r.AuthRoleGet.Role):
		return nil
	case needsAdmin(r):
		return s.auth.IsAdminPermitted(who)
	}
	return nil
}

func needsAdmin(r *pb.InternalRaftRequest) bool {
	return r.AuthEnable != nil || r.AuthDisable != nil ||
		r.AuthUserAdd != nil || r.AuthUserDelete != nil || r.AuthUserChangePassword != nil ||
		r.AuthUserGrantRole != nil || r.AuthUserRevokeRole != nil || r.AuthUserGet != nil || r.AuthUserList != nil ||
		r.AuthRoleAdd != nil || r.AuthRoleDelete != nil || r.AuthRoleGrantPermission != nil ||
		r.AuthRoleRevokePermission != nil || r.AuthRoleGet != nil || r.AuthRoleList != nil
}

func (s *state) permitPut(who *auth.AuthInfo, r *pb.PutRequest) error {
	if err := s.auth.IsPutPermitted(who, r.Key); err != nil {
		return err
	}
	// A lease whose other keys the user may not write is a lease that the user may not revoke either, so nothing more
	// is hung on it.
	if err := s.permitLease(who, r.Lease); err != nil {
		return err
	}
	if r.PrevKv {
		return s.auth.IsRangePermitted(who, r.Key, nil)
	}
	return nil
}

func (s *state) permitDelete(who *auth.AuthInfo, r *pb.DeleteRangeRequest) error {
	if err := s.auth.IsDeleteRangePermitted(who, r.Key, r.RangeEnd); err != nil {
		return err
	}
	if r.PrevKv {
		return s.auth.IsRangePermitted(who, r.Key, r.RangeEnd)
	}
	return nil
}

func (s *state) permitTxn(who *auth.AuthInfo, r *pb.TxnRequest) error {
	for _, c := range r.Compare {
		if err := s.auth.IsRangePermitted(who, c.Key, c.RangeEnd); err != nil {
			return err
		}
	}
	for _, ops := range [][]*pb.RequestOp{r.Success, r.Failure} {
		for _, op := range ops {
			if err := s.permitOp(who, op); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *state) permitOp(who *auth.AuthInfo, op *pb.RequestOp) error {
	switch {
	case op.GetRequestRange() != nil:
		return s.auth.IsRangePermitted(who, op.GetRequestRange().Key, op.GetRequestRange().RangeEnd)
	case op.GetRequestPut() != nil:
		return s.permitPut(who, op.GetRequestPut())
	case op.GetRequestDeleteRange() != nil:
		return s.permitDelete(who, op.GetRequestDeleteRange())
	case op.GetRequestTxn() != nil:
		return s.permitTxn(who, op.GetRequestTxn())
	}
	return nil
}

// permitLease asks for the right to write every key on a lease.
func (s *state) permitLease(who *auth.AuthInfo, id int64) error {
	if id == int64(lease.NoLease) || s.auth.IsAdminPermitted(who) == nil {
		return nil
	}
	for _, key := range s.lessor.keysOf(id) {
		if err := s.auth.IsPutPermitted(who, []byte(key)); err != nil {
			return err
		}
	}
	return nil
}

// applyAuth executes the requests on users and roles; ok is false for any other.
func (s *state) applyAuth(r *pb.InternalRaftRequest, index uint64) (out outcome, ok bool) {
	switch {
	case r.AuthEnable != nil:
		return result(&pb.AuthEnableResponse{}, s.auth.AuthEnable()), true
	case r.AuthDisable != nil:
		s.auth.AuthDisable()
		return outcome{msg: &pb.AuthDisableResponse{}}, true
	case r.AuthStatus != nil:
		return outcome{msg: &pb.AuthStatusResponse{Enabled: s.auth.IsAuthEnabled(), AuthRevision: s.auth.Revision()}}, true
	case r.Authenticate != nil:
		ctx := context.WithValue(background, auth.AuthenticateParamIndex{}, index)
		ctx = context.WithValue(ctx, auth.AuthenticateParamSimpleTokenPrefix{}, r.Authenticate.SimpleToken)
		return result(s.auth.Authenticate(ctx, r.Authenticate.Name, "")), true
	}
	if out, ok := s.applyUser(r); ok {
		return out, true
	}
	return s.applyRole(r)
}

func (s *state) applyUser(r *pb.InternalRaftRequest) (outcome, bool) {
	switch {
	case r.AuthUserAdd != nil:
		return result(s.auth.UserAdd(r.AuthUserAdd)), true
	case r.AuthUserDelete != nil:
		return result(s.auth.UserDelete(r.AuthUserDelete)), true
	case r.AuthUserChangePassword != nil:
		return result(s.auth.UserChangePassword(r.AuthUserChangePassword)), true
	case r.AuthUserGrantRole != nil:
		return result(s.auth.UserGrantRole(r.AuthUserGrantRole)), true
	case r.AuthUserRevokeRole != nil:
		return result(s.auth.UserRevokeRole(r.AuthUserRevokeRole)), true
	case r.AuthUserGet != nil:
		return result(s.auth.UserGet(r.AuthUserGet)), true
	case r.AuthUserList != nil:
		return result(s.auth.UserList(r.AuthUserList)), true
	}
	return outcome{}, false
}

func (s *state) applyRole(r *pb.InternalRaftRequest) (outcome, bool) {
	switch {
	case r.AuthRoleAdd != nil:
		return result(s.auth.RoleAdd(r.AuthRoleAdd)), true
	case r.AuthRoleDelete != nil:
		return result(s.auth.RoleDelete(r.AuthRoleDelete)), true
	case r.AuthRoleGrantPermission != nil:
		return result(s.auth.RoleGrantPermission(r.AuthRoleGrantPermission)), true
	case r.AuthRoleRevokePermission != nil:
		return result(s.auth.RoleRevokePermission(r.AuthRoleRevokePermission)), true
	case r.AuthRoleGet != nil:
		return result(s.roleGet(r.AuthRoleGet)), true
	case r.AuthRoleList != nil:
		return result(s.auth.RoleList(r.AuthRoleList)), true
	}
	return outcome{}, false
}

// roleGet tells the permissions that a role was given, those of root as well, as etcd 3.5 does; that of 3.7, which serves here, tells
// in their place that root may do everything.
func (s *state) roleGet(r *pb.AuthRoleGetRequest) (*pb.AuthRoleGetResponse, error) {
	role := schema.NewAuthBackend(s.lg, s.be).GetRole(r.Role)
	if role == nil {
		return nil, auth.ErrRoleNotFound
	}
	return &pb.AuthRoleGetResponse{Perm: role.KeyPermission}, nil
}
