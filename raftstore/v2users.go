package raftstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
	"golang.org/x/crypto/bcrypt"

	"quorate/raftstore/v2users"
)

// V2Users are the users and roles of the v2 API as this member has them. A member that may not be up to date, as one that has just started,
// gives an error: it could know no users yet where there are some.
func (s *Store) V2Users(ctx context.Context) (*v2users.Users, error) {
	if err := s.fresh(ctx, true); err != nil {
		return nil, err
	}
	return s.state.v2users.Load(), nil
}

// V2ChangeUsers commits a change of the v2 API's users and roles. A password in it is the password itself: the log has only its hash. The error
// is a *v2users.Error where the rules refuse.
func (s *Store) V2ChangeUsers(ctx context.Context, c v2users.Change) (v2users.Result, error) {
	if c.User != nil && c.User.Password != "" {
		user := *c.User
		hash, err := bcrypt.GenerateFromPassword([]byte(user.Password), s.state.auth.BcryptCost())
		if errors.Is(err, bcrypt.ErrPasswordTooLong) {
			return v2users.Result{}, &v2users.Error{Kind: v2users.Bad, Text: "the password has more than 72 bytes"}
		}
		if err != nil {
			return v2users.Result{}, err
		}
		user.Password = string(hash)
		c.User = &user
	}
	body, err := json.Marshal(c)
	if err != nil {
		return v2users.Result{}, fmt.Errorf("v2 users: %w", err)
	}
	if len(body) > MaxRequestBytes {
		return v2users.Result{}, etcderrors.ErrRequestTooLarge
	}
	res, err := s.submit(ctx, append([]byte{byte(kindV2Users)}, body...))
	if err != nil {
		return v2users.Result{}, err
	}
	out, err := usersResult(res)
	if err == nil && out.Err != nil {
		err = out.Err
	}
	return out, err
}

func usersResult(res applied) (out v2users.Result, err error) {
	switch {
	case res.err != nil:
		return out, res.err
	case res.v2users != nil:
		return *res.v2users, nil
	}
	if err := json.Unmarshal(res.body, &out); err != nil {
		return out, fmt.Errorf("v2 users: result: %w", err)
	}
	return out, nil
}

// applyV2Users applies a change of the v2 API's users and roles.
func (s *state) applyV2Users(body []byte) (outcome, error) {
	var c v2users.Change
	if err := json.Unmarshal(body, &c); err != nil {
		return outcome{}, fmt.Errorf("v2 users: %w", err)
	}
	next, res := s.v2users.Load().Apply(c)
	s.v2users.Store(next)
	return outcome{v2users: &res}, nil
}

// saveV2Users is saveV2 for the users and roles.
func (s *state) saveV2Users() error {
	users := s.v2users.Load()
	if users == nil {
		return nil // never used
	}
	saved, err := json.Marshal(users)
	if err != nil {
		return fmt.Errorf("saving the v2 users: %w", err)
	}
	s.putV2(v2UsersKey, saved)
	return nil
}

// loadV2Users is loadV2 for the users and roles.
func (s *state) loadV2Users() error {
	saved := s.getV2(v2UsersKey)
	if saved == nil {
		s.v2users.Store(nil)
		return nil
	}
	users := &v2users.Users{}
	if err := json.Unmarshal(saved, users); err != nil {
		return fmt.Errorf("recovering the v2 users: %w", err)
	}
	s.v2users.Store(users)
	return nil
}
