package raftstore

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/auth"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
	"golang.org/x/crypto/bcrypt"
	"google.golang.org/protobuf/proto"
)

// authInfo is the header under which a request enters the log: who asks, by the token in ctx, and by which state of the
// users and roles. The permission itself is checked at apply.
func (s *Store) authInfo(ctx context.Context, r *pb.InternalRaftRequest) (*pb.RequestHeader, error) {
	h := &pb.RequestHeader{}
	if r.Authenticate != nil {
		return h, nil
	}
	who, err := s.who(ctx)
	if err != nil || who == nil {
		return h, err
	}
	h.Username, h.AuthRevision = who.Username, who.Revision
	return h, nil
}

// who asks in ctx: by its token, else by its certificate where that counts. It is nil while users are not checked, and for
// somebody without either.
func (s *Store) who(ctx context.Context) (*auth.AuthInfo, error) {
	who, err := s.state.auth.AuthInfoFromCtx(ctx)
	if who != nil || err != nil || s.opts.Auth.CertUser == nil || !s.state.auth.IsAuthEnabled() {
		return who, err
	}
	name := s.opts.Auth.CertUser(ctx)
	if name == "" {
		return nil, nil
	}
	return &auth.AuthInfo{Username: name, Revision: s.state.auth.Revision()}, nil
}

// guarded runs a read with its permission checked before, and checked again to be of the same state of users and roles
// after.
func (s *Store) guarded(ctx context.Context, permit func(*auth.AuthInfo) error, read func() error) error {
	if !s.state.auth.IsAuthEnabled() {
		return s.state.kv.reading(read)
	}
	who, err := s.who(ctx)
	if err != nil {
		return err
	}
	if who == nil {
		who = &auth.AuthInfo{}
	}
	if err := permit(who); err != nil {
		return err
	}
	if err := s.state.kv.reading(read); err != nil {
		return err
	}
	if who.Revision != 0 && who.Revision != s.state.auth.Revision() {
		return auth.ErrAuthOldRevision
	}
	return nil
}

// RangePermitted is nil when whoever asks in ctx may read [key, end). A front end asks before it starts a watch.
func (s *Store) RangePermitted(ctx context.Context, key, end []byte) error {
	return s.guarded(ctx, func(who *auth.AuthInfo) error {
		return s.state.auth.IsRangePermitted(who, key, end)
	}, func() error { return nil })
}

// AdminPermitted is nil when whoever asks in ctx may administer the cluster.
func (s *Store) AdminPermitted(ctx context.Context) error {
	return s.guarded(ctx, s.state.auth.IsAdminPermitted, func() error { return nil })
}

// UserKnown is nil when users are not checked, or somebody is who asks in ctx.
func (s *Store) UserKnown(ctx context.Context) error {
	if !s.state.auth.IsAuthEnabled() {
		return nil
	}
	who, err := s.who(ctx)
	if err == nil && who == nil {
		return auth.ErrUserEmpty
	}
	return err
}

// LeasePermitted is nil when whoever asks in ctx may read, or change, every key on a lease, and so learn of the lease, or renew it.
func (s *Store) LeasePermitted(ctx context.Context, id int64, change bool) error {
	return s.guarded(ctx, func(who *auth.AuthInfo) error {
		if s.state.auth.IsAdminPermitted(who) == nil {
			return nil
		}
		if who.Username == "" {
			return auth.ErrUserEmpty
		}
		for _, key := range s.state.lessor.keysOf(id) {
			err := s.state.auth.IsRangePermitted(who, []byte(key), nil)
			if change {
				err = s.state.auth.IsPutPermitted(who, []byte(key))
			}
			if err != nil {
				return err
			}
		}
		return nil
	}, func() error { return nil })
}

// WithRoot gives ctx the rights of root, for calls of this process on its own behalf.
func (s *Store) WithRoot(ctx context.Context) context.Context { return s.state.auth.WithRoot(ctx) }

// authRequest executes a request on users and roles. etcd's auth package leaves the header to us.
func authRequest[R proto.Message](s *Store, ctx context.Context, r *pb.InternalRaftRequest, empty R,
	set func(R, *pb.ResponseHeader)) (R, error) {
	resp, err := request(s, ctx, r, empty)
	if err != nil {
		return resp, err
	}
	set(resp, s.Header())
	return resp, nil
}

// Authenticate checks a password and hands out a token that is valid on every member.
func (s *Store) Authenticate(ctx context.Context, r *pb.AuthenticateRequest) (*pb.AuthenticateResponse, error) {
	if err := s.linearize(ctx); err != nil {
		return nil, err
	}
	for {
		checked, err := s.state.auth.CheckPassword(r.Name, r.Password)
		if err != nil {
			return nil, err
		}
		prefix, err := s.state.auth.GenTokenPrefix()
		if err != nil {
			return nil, fmt.Errorf("make a token: %w", err)
		}
		// Without the password: it does not belong into the log.
		in := &pb.InternalRaftRequest{Authenticate: &pb.InternalAuthenticateRequest{Name: r.Name, SimpleToken: prefix}}
		resp, err := authRequest(s, ctx, in, &pb.AuthenticateResponse{},
			func(r *pb.AuthenticateResponse, h *pb.ResponseHeader) { r.Header = h })
		if err != nil {
			return nil, err
		}
		if checked == s.state.auth.Revision() {
			return resp, nil
		}
		if ctx.Err() != nil { // users changed meanwhile: check the password again
			return nil, ctx.Err()
		}
	}
}

// hashPassword hashes before proposing: apply must not spend tens of milliseconds, and the log must not hold passwords.
func (s *Store) hashPassword(password string) (string, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), s.state.auth.BcryptCost())
	if errors.Is(err, bcrypt.ErrPasswordTooLong) {
		return "", fmt.Errorf("%w: %w", etcderrors.ErrRequestTooLarge, err)
	}
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(hash), nil
}

// UserAdd adds a user.
func (s *Store) UserAdd(ctx context.Context, r *pb.AuthUserAddRequest) (*pb.AuthUserAddResponse, error) {
	in := proto.CloneOf(r)
	if r.Options == nil || !r.Options.NoPassword {
		if r.HashedPassword == "" || r.Password != "" {
			hash, err := s.hashPassword(r.Password)
			if err != nil {
				return nil, err
			}
			in.HashedPassword = hash
		}
		in.Password = ""
	}
	return authRequest(s, ctx, &pb.InternalRaftRequest{AuthUserAdd: in}, &pb.AuthUserAddResponse{},
		func(r *pb.AuthUserAddResponse, h *pb.ResponseHeader) { r.Header = h })
}

// UserChangePassword changes a user's password.
func (s *Store) UserChangePassword(ctx context.Context, r *pb.AuthUserChangePasswordRequest) (
	*pb.AuthUserChangePasswordResponse, error) {
	in := proto.CloneOf(r)
	if r.Password != "" {
		hash, err := s.hashPassword(r.Password)
		if err != nil {
			return nil, err
		}
		in.HashedPassword, in.Password = hash, ""
	}
	return authRequest(s, ctx, &pb.InternalRaftRequest{AuthUserChangePassword: in}, &pb.AuthUserChangePasswordResponse{},
		func(r *pb.AuthUserChangePasswordResponse, h *pb.ResponseHeader) { r.Header = h })
}
