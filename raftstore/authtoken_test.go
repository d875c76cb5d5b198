package raftstore

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/auth"
	"golang.org/x/crypto/bcrypt"
)

// Signed tokens, and certificates in the place of tokens: any member takes what another has signed, nobody takes one that has ended, and a token
// goes before a certificate.
func TestSignedTokensAndCertificates(t *testing.T) {
	dir := t.TempDir()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "jwt.key")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600); err != nil {
		t.Fatal(err)
	}
	type certKey struct{}
	c := started(t, 3, func(_ int, o *Options) {
		o.Auth = AuthOptions{
			Token: "jwt,sign-method=RS256,priv-key=" + file + ",ttl=2s", BcryptCost: bcrypt.MinCost,
			CertUser: func(ctx context.Context) string { name, _ := ctx.Value(certKey{}).(string); return name },
		}
	})
	lead := c.leader()
	a, b, ctx := c.store(lead), c.store(c.others(lead)[0]), t.Context()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	asEve := context.WithValue(ctx, certKey{}, "eve")
	put := &pb.PutRequest{Key: []byte("k")}
	must(b.Put(asEve, put)) // while users are not checked certificates mean nothing
	must(b.RoleAdd(ctx, &pb.AuthRoleAddRequest{Name: "root"}))
	must(b.UserAdd(ctx, &pb.AuthUserAddRequest{Name: "root", Password: "secret"}))
	must(b.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: "root", Role: "root"}))
	must(b.UserAdd(ctx, &pb.AuthUserAddRequest{Name: "eve", Options: &authpb.UserAddOptions{NoPassword: true}}))
	must(b.AuthEnable(ctx, &pb.AuthEnableRequest{}))

	resp, err := b.Authenticate(ctx, &pb.AuthenticateRequest{Name: "root", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	root := tokenCtx(ctx, resp.Token)
	must(a.Put(root, put))
	must(b.Range(root, &pb.RangeRequest{Key: []byte("k")}))
	_, err = b.Put(asEve, put)
	wantErr(t, err, auth.ErrPermissionDenied)
	wantErr(t, b.RangePermitted(asEve, []byte("k"), nil), auth.ErrPermissionDenied)
	must(b.Put(tokenCtx(asEve, resp.Token), put))
	must(b.Put(context.WithValue(ctx, certKey{}, "root"), put))
	_, err = b.Put(ctx, put)
	wantErr(t, err, auth.ErrUserEmpty)
	for end := time.Now().Add(10 * time.Second); ; {
		_, err := a.Put(root, put)
		if errors.Is(err, auth.ErrInvalidAuthToken) {
			break
		}
		if err != nil || time.Now().After(end) {
			t.Fatalf("the token does not end: %v", err)
		}
	}

	o := c.members[0].opts
	o.Dir, o.Auth.Token = filepath.Join(dir, "other"), "jwt,sign-method=RS256,priv-key=/no/such/file"
	if _, err := Open(o); err == nil || !strings.Contains(err.Error(), "AuthOptions.Token") {
		t.Errorf("a key that is not there: %v", err)
	}
}
