package raftstore

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// The requests on users and roles that need nothing but to be executed.

// AuthEnable switches the checking of users on.
func (s *Store) AuthEnable(ctx context.Context, r *pb.AuthEnableRequest) (*pb.AuthEnableResponse, error) {
	return authRequest(s, ctx, &pb.InternalRaftRequest{AuthEnable: r}, &pb.AuthEnableResponse{},
		func(r *pb.AuthEnableResponse, h *pb.ResponseHeader) { r.Header = h })
}

// AuthDisable switches the checking of users off.
func (s *Store) AuthDisable(ctx context.Context, r *pb.AuthDisableRequest) (*pb.AuthDisableResponse, error) {
	return authRequest(s, ctx, &pb.InternalRaftRequest{AuthDisable: r}, &pb.AuthDisableResponse{},
		func(r *pb.AuthDisableResponse, h *pb.ResponseHeader) { r.Header = h })
}

// AuthStatus tells whether users are checked.
func (s *Store) AuthStatus(ctx context.Context, r *pb.AuthStatusRequest) (*pb.AuthStatusResponse, error) {
	return authRequest(s, ctx, &pb.InternalRaftRequest{AuthStatus: r}, &pb.AuthStatusResponse{},
		func(r *pb.AuthStatusResponse, h *pb.ResponseHeader) { r.Header = h })
}

// UserDelete deletes a user.
func (s *Store) UserDelete(ctx context.Context, r *pb.AuthUserDeleteRequest) (*pb.AuthUserDeleteResponse, error) {
	return authRequest(s, ctx, &pb.InternalRaftRequest{AuthUserDelete: r}, &pb.AuthUserDeleteResponse{},
		func(r *pb.AuthUserDeleteResponse, h *pb.ResponseHeader) { r.Header = h })
}

// UserGet tells a user's roles.
func (s *Store) UserGet(ctx context.Context, r *pb.AuthUserGetRequest) (*pb.AuthUserGetResponse, error) {
	return authRequest(s, ctx, &pb.InternalRaftRequest{AuthUserGet: r}, &pb.AuthUserGetResponse{},
		func(r *pb.AuthUserGetResponse, h *pb.ResponseHeader) { r.Header = h })
}

// UserList lists the users.
func (s *Store) UserList(ctx context.Context, r *pb.AuthUserListRequest) (*pb.AuthUserListResponse, error) {
	return authRequest(s, ctx, &pb.InternalRaftRequest{AuthUserList: r}, &pb.AuthUserListResponse{},
		func(r *pb.AuthUserListResponse, h *pb.ResponseHeader) { r.Header = h })
}

// UserGrantRole gives a user a role.
func (s *Store) UserGrantRole(ctx context.Context, r *pb.AuthUserGrantRoleRequest) (*pb.AuthUserGrantRoleResponse, error) {
	return authRequest(s, ctx, &pb.InternalRaftRequest{AuthUserGrantRole: r}, &pb.AuthUserGrantRoleResponse{},
		func(r *pb.AuthUserGrantRoleResponse, h *pb.ResponseHeader) { r.Header = h })
}

// UserRevokeRole takes a role from a user.
func (s *Store) UserRevokeRole(ctx context.Context, r *pb.AuthUserRevokeRoleRequest) (*pb.AuthUserRevokeRoleResponse, error) {
	return authRequest(s, ctx, &pb.InternalRaftRequest{AuthUserRevokeRole: r}, &pb.AuthUserRevokeRoleResponse{},
		func(r *pb.AuthUserRevokeRoleResponse, h *pb.ResponseHeader) { r.Header = h })
}

// RoleAdd adds a role.
func (s *Store) RoleAdd(ctx context.Context, r *pb.AuthRoleAddRequest) (*pb.AuthRoleAddResponse, error) {
	return authRequest(s, ctx, &pb.InternalRaftRequest{AuthRoleAdd: r}, &pb.AuthRoleAddResponse{},
		func(r *pb.AuthRoleAddResponse, h *pb.ResponseHeader) { r.Header = h })
}

// RoleDelete deletes a role.
func (s *Store) RoleDelete(ctx context.Context, r *pb.AuthRoleDeleteRequest) (*pb.AuthRoleDeleteResponse, error) {
	return authRequest(s, ctx, &pb.InternalRaftRequest{AuthRoleDelete: r}, &pb.AuthRoleDeleteResponse{},
		func(r *pb.AuthRoleDeleteResponse, h *pb.ResponseHeader) { r.Header = h })
}

// RoleGet tells a role's permissions.
func (s *Store) RoleGet(ctx context.Context, r *pb.AuthRoleGetRequest) (*pb.AuthRoleGetResponse, error) {
	return authRequest(s, ctx, &pb.InternalRaftRequest{AuthRoleGet: r}, &pb.AuthRoleGetResponse{},
		func(r *pb.AuthRoleGetResponse, h *pb.ResponseHeader) { r.Header = h })
}

// RoleList lists the roles.
func (s *Store) RoleList(ctx context.Context, r *pb.AuthRoleListRequest) (*pb.AuthRoleListResponse, error) {
	return authRequest(s, ctx, &pb.InternalRaftRequest{AuthRoleList: r}, &pb.AuthRoleListResponse{},
		func(r *pb.AuthRoleListResponse, h *pb.ResponseHeader) { r.Header = h })
}

// RoleGrantPermission gives a role a permission.
func (s *Store) RoleGrantPermission(ctx context.Context, r *pb.AuthRoleGrantPermissionRequest) (*pb.AuthRoleGrantPermissionResponse, error) {
	return authRequest(s, ctx, &pb.InternalRaftRequest{AuthRoleGrantPermission: r}, &pb.AuthRoleGrantPermissionResponse{},
		func(r *pb.AuthRoleGrantPermissionResponse, h *pb.ResponseHeader) { r.Header = h })
}

// RoleRevokePermission takes a permission from a role.
func (s *Store) RoleRevokePermission(ctx context.Context, r *pb.AuthRoleRevokePermissionRequest) (*pb.AuthRoleRevokePermissionResponse, error) {
	return authRequest(s, ctx, &pb.InternalRaftRequest{AuthRoleRevokePermission: r}, &pb.AuthRoleRevokePermissionResponse{},
		func(r *pb.AuthRoleRevokePermissionResponse, h *pb.ResponseHeader) { r.Header = h })
}
