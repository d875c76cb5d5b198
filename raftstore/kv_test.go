package raftstore

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/auth"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"
	"google.golang.org/grpc/metadata"
)

// Errors of the state come out of a follower as the same values as out of the leader.
func TestErrorsKeepTheirIdentity(t *testing.T) {
	c := started(t, 3, nil)
	c.put(0, "k", "v")
	lead := c.leader()
	for _, i := range []int{lead, c.others(lead)[0]} {
		s, ctx := c.store(i), t.Context()
		_, err := patiently(t, func() (any, error) { return s.Put(ctx, &pb.PutRequest{Key: []byte("k"), Lease: 99}) })
		wantErr(t, err, lease.ErrLeaseNotFound)
		_, err = patiently(t, func() (any, error) { return s.Put(ctx, &pb.PutRequest{Key: []byte("nokey"), IgnoreValue: true}) })
		wantErr(t, err, etcderrors.ErrKeyNotFound)
		_, err = patiently(t, func() (any, error) { return s.Compact(ctx, &pb.CompactionRequest{Revision: 1000}) })
		wantErr(t, err, mvcc.ErrFutureRev)
		_, err = patiently(t, func() (any, error) { return s.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: 99}) })
		wantErr(t, err, lease.ErrLeaseNotFound)
		_, err = patiently(t, func() (any, error) { return s.LeaseRenew(ctx, 99) })
		wantErr(t, err, lease.ErrLeaseNotFound)
		_, err = patiently(t, func() (any, error) { return s.LeaseGrant(ctx, &pb.LeaseGrantRequest{TTL: lease.MaxLeaseTTL + 1}) })
		wantErr(t, err, lease.ErrLeaseTTLTooLarge)
		_, err = patiently(t, func() (any, error) { return s.Range(ctx, &pb.RangeRequest{Key: []byte("k"), Revision: 1000}) })
		wantErr(t, err, mvcc.ErrFutureRev)
		resp, err := s.LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: 99})
		if err != nil || resp.TTL != -1 {
			t.Errorf("time to live of no lease: %v, %v", resp, err)
		}
	}
}

func wantErr(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("error %v, want %v", got, want)
	}
}

// A member without a quorum says so at once, and never an answer that might be old.
func TestMinorityAnswersUnavailableAtOnce(t *testing.T) {
	t.Parallel()
	c := started(t, 3, nil)
	c.put(0, "k", "v")
	for _, who := range []int{c.leader(), c.others(c.leader())[0]} {
		c.wires.set(true, who, c.others(who)...)
		s := c.store(who)
		waitFor(t, "it to notice", func() bool { return s.Leader() == 0 })
		_, err := s.Put(t.Context(), &pb.PutRequest{Key: []byte("k")})
		wantErr(t, err, etcderrors.ErrNoLeader)
		_, err = s.Range(t.Context(), &pb.RangeRequest{Key: []byte("k")})
		wantErr(t, err, etcderrors.ErrNoLeader)
		_, err = s.LeaseRenew(t.Context(), 1)
		wantErr(t, err, etcderrors.ErrNoLeader)
		// A message that was already received may name a leader once more, until the timeout.
		waitFor(t, "it to be unhealthy", func() bool { return errors.Is(s.Health(), etcderrors.ErrNoLeader) })
		if _, err := s.Range(t.Context(), &pb.RangeRequest{Key: []byte("k"), Serializable: true}); err != nil {
			t.Errorf("a serializable read: %v", err)
		}
		c.wires.set(false, who, c.others(who)...)
		for i := range 3 {
			c.waitReady(i)
		}
	}
}

// After a restart a member answers nothing, not even a stale read, until it has come as far as the cluster was.
func TestRestartedMemberDoesNotGoBack(t *testing.T) {
	c := started(t, 3, nil)
	who := c.others(c.leader())[0]
	c.put(who, "k", "v")
	c.kill(who)
	c.wires.set(true, who, c.others(who)...)
	c.open(who)
	if _, err := c.store(who).Range(t.Context(), &pb.RangeRequest{Key: []byte("k"), Serializable: true}); err == nil {
		t.Error("an empty member answered a read")
	}
	c.wires.set(false, who, c.others(who)...)
	waitFor(t, "a serializable read", func() bool {
		resp, err := c.store(who).Range(t.Context(), &pb.RangeRequest{Key: []byte("k"), Serializable: true})
		if err == nil && len(resp.Kvs) == 0 {
			t.Fatal("it went back in time")
		}
		return err == nil
	})
}

func TestQuotaRaisesAnAlarmThatClearsItself(t *testing.T) {
	t.Parallel()
	c := started(t, 3, func(_ int, o *Options) { o.QuotaBytes = 1 << 20 })
	who := c.others(c.leader())[0]
	big := []byte(strings.Repeat("x", 100<<10))
	var err error
	for n := 0; err == nil && n < 50; n++ {
		_, err = patiently(t, func() (*pb.PutResponse, error) {
			return c.store(who).Put(t.Context(), &pb.PutRequest{Key: fmt.Append(nil, "k", n), Value: big})
		})
	}
	wantErr(t, err, etcderrors.ErrNoSpace)
	waitFor(t, "the alarm", func() bool {
		resp, err := c.store(who).Alarm(t.Context(), &pb.AlarmRequest{Action: pb.AlarmRequest_GET})
		return err == nil && len(resp.Alarms) == 1 && resp.Alarms[0].Alarm == pb.AlarmType_NOSPACE
	})
	_, err = c.store(who).Put(t.Context(), &pb.PutRequest{Key: []byte("small")})
	wantErr(t, err, etcderrors.ErrNoSpace)
	del, err := c.store(who).DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: []byte("k"), RangeEnd: []byte("l")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.store(who).Compact(t.Context(), &pb.CompactionRequest{Revision: del.Header.Revision, Physical: true}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "writes to be taken again", func() bool {
		_, err := c.store(who).Put(t.Context(), &pb.PutRequest{Key: []byte("small")})
		return err == nil
	})
}

// tokenCtx is a context as the front end has it from a client with a token.
func tokenCtx(ctx context.Context, token string) context.Context {
	return metadata.NewIncomingContext(ctx, metadata.Pairs(rpctypes.TokenFieldNameGRPC, token))
}

func TestUsers(t *testing.T) {
	c := started(t, 3, func(_ int, o *Options) { o.Auth.BcryptCost = bcrypt.MinCost })
	lead := c.leader()
	a, b, ctx := c.store(lead), c.store(c.others(lead)[0]), t.Context()
	try := func(f func() (any, error)) error {
		t.Helper()
		_, err := patiently(t, f)
		return err
	}
	must := func(f func() (any, error)) {
		t.Helper()
		if err := try(f); err != nil {
			t.Fatal(err)
		}
	}
	must(func() (any, error) { return b.RoleAdd(ctx, &pb.AuthRoleAddRequest{Name: "root"}) })
	must(func() (any, error) { return b.UserAdd(ctx, &pb.AuthUserAddRequest{Name: "root", Password: "secret"}) })
	must(func() (any, error) {
		return b.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: "root", Role: "root"})
	})
	must(func() (any, error) { return b.UserAdd(ctx, &pb.AuthUserAddRequest{Name: "eve", Password: "pw"}) })
	must(func() (any, error) { return b.AuthEnable(ctx, &pb.AuthEnableRequest{}) })
	wantErr(t, try(func() (any, error) { return a.Put(ctx, &pb.PutRequest{Key: []byte("k")}) }), auth.ErrUserEmpty)
	wantErr(t, try(func() (any, error) {
		return a.Authenticate(ctx, &pb.AuthenticateRequest{Name: "root", Password: "wrong"})
	}), auth.ErrAuthFailed)
	login := func(name, password string) context.Context {
		t.Helper()
		resp, err := patiently(t, func() (*pb.AuthenticateResponse, error) {
			return b.Authenticate(ctx, &pb.AuthenticateRequest{Name: name, Password: password})
		})
		if err != nil {
			t.Fatal(err)
		}
		return tokenCtx(ctx, resp.Token)
	}
	root, eve := login("root", "secret"), login("eve", "pw")
	must(func() (any, error) { return a.Put(root, &pb.PutRequest{Key: []byte("k"), Value: []byte("v")}) }) // a token is valid on every member
	must(func() (any, error) { return b.Range(root, &pb.RangeRequest{Key: []byte("k")}) })
	wantErr(t, try(func() (any, error) { return b.Range(eve, &pb.RangeRequest{Key: []byte("k")}) }), auth.ErrPermissionDenied)
	wantErr(t, try(func() (any, error) { return b.Put(eve, &pb.PutRequest{Key: []byte("k")}) }), auth.ErrPermissionDenied)
	wantErr(t, b.RangePermitted(eve, []byte("k"), nil), auth.ErrPermissionDenied)
	wantErr(t, b.AdminPermitted(eve), auth.ErrPermissionDenied)
	if err := a.AdminPermitted(root); err != nil {
		t.Error(err)
	}
	wantErr(t, try(func() (any, error) { return a.LeaseRenew(eve, 1) }), lease.ErrLeaseNotFound) // needs no permission
	must(func() (any, error) { return a.AuthDisable(root, &pb.AuthDisableRequest{}) })
	must(func() (any, error) { return b.Put(ctx, &pb.PutRequest{Key: []byte("k")}) })
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	c := started(t, 3, nil)
	c.grant(0, 10)
	c.put(1, "k", "v")
	for _, m := range c.members {
		if err := m.store.Close(); err != nil {
			t.Error(err)
		}
		select {
		case <-m.store.Done():
		default:
			t.Error("Done is open after Close")
		}
		_, err := m.store.Put(t.Context(), &pb.PutRequest{Key: []byte("k")})
		wantErr(t, err, etcderrors.ErrStopped)
		m.store = nil
	}
	goleak.VerifyNone(t, ignore)
}

// testTLS makes a pair of configurations of which both sides demand the same authority's certificate.
func testTLS(t *testing.T) *PeerTLS {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "peer"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &PeerTLS{
		Server: &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert},
		Client: &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool},
	}
}

// tellingLogger hands the texts of lines to a channel too.
func tellingLogger(l *slog.Logger, to chan<- string) *slog.Logger {
	return slog.New(teller{l.Handler(), to})
}

type teller struct {
	slog.Handler
	to chan<- string
}

func (teller) Enabled(context.Context, slog.Level) bool { return true }

func (h teller) Handle(ctx context.Context, r slog.Record) error {
	select {
	case h.to <- r.Message:
	default:
	}
	return h.Handler.Handle(ctx, r)
}

func (h teller) WithAttrs(a []slog.Attr) slog.Handler { return teller{h.Handler.WithAttrs(a), h.to} }

func TestPeersOverTLS(t *testing.T) {
	pair := testTLS(t)
	told := make(chan string, 100)
	c := started(t, 3, func(_ int, o *Options) { o.TLS, o.Logger = pair, tellingLogger(o.Logger, told) })
	c.put(c.others(c.leader())[0], "k", "v")
	stranger := &dialer{dial: c.members[0].opts.Dial, tls: testTLS(t).Client, timeout: time.Second}
	conn, err := stranger.open(t.Context(), c.store(0).PeerAddr(), greeting{Proto: protoRPC})
	if err == nil {
		defer conn.Close()
		r := newRPCConn(conn, time.Second)
		_, err = r.call(t.Context(), methodHello, nil)
	}
	if err == nil {
		t.Error("a stranger with another authority's certificate was answered")
	}
	for {
		select {
		case line := <-told:
			if line == "rejected connection on peer endpoint" {
				return
			}
		case <-time.After(10 * time.Second):
			t.Fatal("nothing in the log about the stranger")
		}
	}
}
