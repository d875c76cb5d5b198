package etcd3

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// authServer is etcdserverpb.Auth over a store that keeps users. Every method is the same three steps; what a caller may
// do is the store's to say.
type authServer struct {
	pb.UnimplementedAuthServer
	store Store
	auth  AuthStore
}

// answered completes an answer of the auth store; header is where its header lives, nil when there is no answer.
func answered[R any](s *authServer, resp R, err error, header func(R) **pb.ResponseHeader) (R, error) {
	if err != nil {
		var none R
		return none, toStatus(err)
	}
	fill(s.store, header(resp))
	return resp, nil
}

func (s *authServer) AuthEnable(ctx context.Context, r *pb.AuthEnableRequest) (*pb.AuthEnableResponse, error) {
	resp, err := s.auth.AuthEnable(ctx, r)
	return answered(s, resp, err, func(a *pb.AuthEnableResponse) **pb.ResponseHeader { return &a.Header })
}

func (s *authServer) AuthDisable(ctx context.Context, r *pb.AuthDisableRequest) (*pb.AuthDisableResponse, error) {
	resp, err := s.auth.AuthDisable(ctx, r)
	return answered(s, resp, err, func(a *pb.AuthDisableResponse) **pb.ResponseHeader { return &a.Header })
}

func (s *authServer) AuthStatus(ctx context.Context, r *pb.AuthStatusRequest) (*pb.AuthStatusResponse, error) {
	resp, err := s.auth.AuthStatus(ctx, r)
	return answered(s, resp, err, func(a *pb.AuthStatusResponse) **pb.ResponseHeader { return &a.Header })
}

func (s *authServer) Authenticate(ctx context.Context, r *pb.AuthenticateRequest) (*pb.AuthenticateResponse, error) {
	resp, err := s.auth.Authenticate(ctx, r)
	return answered(s, resp, err, func(a *pb.AuthenticateResponse) **pb.ResponseHeader { return &a.Header })
}

func (s *authServer) UserAdd(ctx context.Context, r *pb.AuthUserAddRequest) (*pb.AuthUserAddResponse, error) {
	resp, err := s.auth.UserAdd(ctx, r)
	return answered(s, resp, err, func(a *pb.AuthUserAddResponse) **pb.ResponseHeader { return &a.Header })
}

func (s *authServer) UserGet(ctx context.Context, r *pb.AuthUserGetRequest) (*pb.AuthUserGetResponse, error) {
	resp, err := s.auth.UserGet(ctx, r)
	return answered(s, resp, err, func(a *pb.AuthUserGetResponse) **pb.ResponseHeader { return &a.Header })
}

func (s *authServer) UserList(ctx context.Context, r *pb.AuthUserListRequest) (*pb.AuthUserListResponse, error) {
	resp, err := s.auth.UserList(ctx, r)
	return answered(s, resp, err, func(a *pb.AuthUserListResponse) **pb.ResponseHeader { return &a.Header })
}

func (s *authServer) UserDelete(ctx context.Context, r *pb.AuthUserDeleteRequest) (*pb.AuthUserDeleteResponse, error) {
	resp, err := s.auth.UserDelete(ctx, r)
	return answered(s, resp, err, func(a *pb.AuthUserDeleteResponse) **pb.ResponseHeader { return &a.Header })
}

func (s *authServer) UserChangePassword(ctx context.Context, r *pb.AuthUserChangePasswordRequest) (*pb.AuthUserChangePasswordResponse, error) {
	resp, err := s.auth.UserChangePassword(ctx, r)
	return answered(s, resp, err, func(a *pb.AuthUserChangePasswordResponse) **pb.ResponseHeader { return &a.Header })
}

func (s *authServer) UserGrantRole(ctx context.Context, r *pb.AuthUserGrantRoleRequest) (*pb.AuthUserGrantRoleResponse, error) {
	resp, err := s.auth.UserGrantRole(ctx, r)
	return answered(s, resp, err, func(a *pb.AuthUserGrantRoleResponse) **pb.ResponseHeader { return &a.Header })
}

func (s *authServer) UserRevokeRole(ctx context.Context, r *pb.AuthUserRevokeRoleRequest) (*pb.AuthUserRevokeRoleResponse, error) {
	resp, err := s.auth.UserRevokeRole(ctx, r)
	return answered(s, resp, err, func(a *pb.AuthUserRevokeRoleResponse) **pb.ResponseHeader { return &a.Header })
}

func (s *authServer) RoleAdd(ctx context.Context, r *pb.AuthRoleAddRequest) (*pb.AuthRoleAddResponse, error) {
	resp, err := s.auth.RoleAdd(ctx, r)
	return answered(s, resp, err, func(a *pb.AuthRoleAddResponse) **pb.ResponseHeader { return &a.Header })
}

func (s *authServer) RoleGet(ctx context.Context, r *pb.AuthRoleGetRequest) (*pb.AuthRoleGetResponse, error) {
	resp, err := s.auth.RoleGet(ctx, r)
	return answered(s, resp, err, func(a *pb.AuthRoleGetResponse) **pb.ResponseHeader { return &a.Header })
}

func (s *authServer) RoleList(ctx context.Context, r *pb.AuthRoleListRequest) (*pb.AuthRoleListResponse, error) {
	resp, err := s.auth.RoleList(ctx, r)
	return answered(s, resp, err, func(a *pb.AuthRoleListResponse) **pb.ResponseHeader { return &a.Header })
}

func (s *authServer) RoleDelete(ctx context.Context, r *pb.AuthRoleDeleteRequest) (*pb.AuthRoleDeleteResponse, error) {
	resp, err := s.auth.RoleDelete(ctx, r)
	return answered(s, resp, err, func(a *pb.AuthRoleDeleteResponse) **pb.ResponseHeader { return &a.Header })
}

func (s *authServer) RoleGrantPermission(ctx context.Context, r *pb.AuthRoleGrantPermissionRequest) (*pb.AuthRoleGrantPermissionResponse, error) {
	resp, err := s.auth.RoleGrantPermission(ctx, r)
	return answered(s, resp, err, func(a *pb.AuthRoleGrantPermissionResponse) **pb.ResponseHeader { return &a.Header })
}

func (s *authServer) RoleRevokePermission(ctx context.Context, r *pb.AuthRoleRevokePermissionRequest) (*pb.AuthRoleRevokePermissionResponse, error) {
	resp, err := s.auth.RoleRevokePermission(ctx, r)
	return answered(s, resp, err, func(a *pb.AuthRoleRevokePermissionResponse) **pb.ResponseHeader { return &a.Header })
}
