package etcd2_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v2store"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"quorate/api/etcd2"
	"quorate/internal/solostore"
	"quorate/raftstore/v2keys"
	"quorate/raftstore/v2users"
)

func TestMain(m *testing.M) {
	// A proposal that is queued when Raft shuts down is never answered (hashicorp/raft 1.8.0, Raft.ApplyLog sets no
	// shutdown channel on its future).
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/hashicorp/raft.(*deferError).Error"))
}

const patience = time.Minute

// store is the real v2 state machine on one node, without a log. Its clock is set by the test.
type store struct {
	*solostore.Store
	keys *v2keys.Keys
	mono time.Duration

	users    *v2users.Users
	usersErr error
}

func (s *store) V2Change(_ context.Context, r etcd2.Request) (*v2store.Event, error) {
	if s.Leader() == 0 {
		return nil, etcderrors.ErrNoLeader
	}
	cmd, err := v2keys.Encode(v2keys.Request(r))
	if err != nil {
		return nil, err
	}
	if cmd, err = s.keys.Stamp(cmd, s.mono); err != nil {
		return nil, err
	}
	res, err := s.keys.Apply(cmd, s.mono)
	if err != nil {
		return nil, err
	}
	if res.Err != nil {
		return nil, res.Err
	}
	return res.Event, nil
}

func (s *store) V2Get(_ context.Context, path string, recursive, sorted, quorum bool) (*v2store.Event, error) {
	if quorum && s.Leader() == 0 {
		return nil, etcderrors.ErrNoLeader
	}
	return s.keys.Get(path, recursive, sorted)
}

func (s *store) V2Watch(path string, recursive, stream bool, since uint64) (v2store.Watcher, error) {
	return s.keys.Watch(path, recursive, stream, since)
}

func (s *store) V2Users(context.Context) (*v2users.Users, error) {
	if s.usersErr != nil {
		return nil, s.usersErr
	}
	return s.users, nil
}

func (s *store) V2ChangeUsers(_ context.Context, c v2users.Change) (v2users.Result, error) {
	if c.User != nil && c.User.Password != "" {
		hash, err := bcrypt.GenerateFromPassword([]byte(c.User.Password), bcrypt.MinCost)
		if err != nil {
			return v2users.Result{}, err
		}
		c.User.Password = string(hash)
	}
	next, res := s.users.Apply(c)
	if res.Err != nil {
		return res, res.Err
	}
	s.users = next
	return res, nil
}

func (s *store) V2Now() time.Time  { return s.keys.Now(s.mono) }
func (s *store) V2Stats() []byte   { return s.keys.Stats() }
func (s *store) RaftIndex() uint64 { return 7 }

// pass lets time pass and ends the keys whose time has come.
func (s *store) pass(t testing.TB, d time.Duration) {
	t.Helper()
	for range d / (500 * time.Millisecond) {
		s.mono += 500 * time.Millisecond
		s.keys.Tick(s.mono)
	}
	if cmd, due := s.keys.Expire(s.mono); due {
		if _, err := s.keys.Apply(cmd, s.mono); err != nil {
			t.Fatal(err)
		}
	}
}

// frontEnd is the handler on a port, and its store.
type frontEnd struct {
	testing.TB
	store   *store
	handler *etcd2.Handler
	url     string
}

func start(t testing.TB) *frontEnd {
	t.Helper()
	solo, err := solostore.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := solo.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &store{Store: solo, keys: v2keys.New()}
	wall := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	h, err := etcd2.New(etcd2.Options{Store: s, Wall: func() time.Time { return wall }})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	t.Cleanup(func() { h.Stop(); server.Close() })
	return &frontEnd{TB: t, store: s, handler: h, url: server.URL}
}

// answer is what came back.
type answer struct {
	code   int
	header http.Header
	body   string
}

func (a answer) json(t testing.TB) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%d %q: %v", a.code, a.body, err)
	}
	return v
}

// call sends a request, with a form body where the method has one.
func call(t testing.TB, method, address string, form url.Values) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, strings.TrimSpace(string(body))}
}

func (f *frontEnd) call(method, path string, params ...string) answer {
	f.Helper()
	var form url.Values
	if len(params) > 0 {
		var err error
		if form, err = url.ParseQuery(strings.Join(params, "&")); err != nil {
			f.Fatal(err)
		}
	}
	return call(f.TB, method, f.url+path, form)
}
