package instance_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
)

// rotated are the accounts with other passwords.
func rotated() instance.Accounts {
	return instance.Accounts{
		Superuser:   instance.Account{User: "postgres", Password: "s2"},
		Replication: instance.Account{User: "replicator", Password: `r2\'`},
		Rewind:      instance.Account{User: "rewinder", Password: "w2"},
	}
}

// Passwords of all kinds change while both servers run: first in the hosts' files, then in the database. The agent gets in all the time,
// and whatever connects after that uses the new ones.
func TestPasswordsChangeWhileServersRun(t *testing.T) {
	ctx := bounded(t)
	a := newNode(t, "node-a").bootstrap()
	b := newNode(t, "node-b").standbyOf(a)
	conf, acc := testConfig(), rotated()
	conf.Accounts = &acc
	a.must(a.Configure(ctx, conf))
	b.must(b.Configure(ctx, conf))
	// The roles still have the old ones.
	a.ok(a.Checkpoint(ctx))
	if _, err := b.ReadSource(ctx, "127.0.0.1", a.port); err != nil {
		t.Errorf("between the files and the database: %v", err)
	}
	receiver := a.sql("SELECT pid FROM pg_stat_replication")
	c := a.connect()
	for user, pw := range map[string]string{"postgres": "s2", "replicator": `r2\'`, "rewinder": "w2"} {
		text, err := c.EscapeString(pw)
		a.ok(err)
		if err := c.Exec(ctx, "ALTER ROLE "+user+" PASSWORD '"+text+"'").Close(); err != nil {
			t.Fatal(err)
		}
	}
	query := func(q string) string {
		res, err := c.Exec(ctx, q).ReadAll()
		a.ok(err)
		if rows := res[len(res)-1].Rows; len(rows) > 0 {
			return string(rows[0][0])
		}
		return ""
	}
	defer c.Close(context.Background())
	if got := query("SELECT pid FROM pg_stat_replication"); got != receiver {
		t.Errorf("replication was broken off: walsender %s, then %s", receiver, got)
	}
	// A connection that has to be made anew is.
	query("SELECT pg_terminate_backend(pid) FROM pg_stat_replication")
	a.eventually(func() bool {
		return query("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND pid <> "+receiver) == "1"
	}, func() string { return "the standby does not come back" })
	a.ok(a.Checkpoint(ctx))
	a.must(b.ReadSource(ctx, "127.0.0.1", a.port))
	// So do PostgreSQL's own programs: pg_basebackup, and pg_rewind after two histories of one cluster.
	other := newNode(t, "node-c", func(o *instance.Options) {
		o.Superuser, o.Replication, o.Rewind = acc.Superuser, acc.Replication, acc.Rewind
	})
	other.ok(other.Clone(ctx, other.cloneOptions(a)))
	b.must(b.Promote(ctx, postgres.SyncNames{}))
	query("CREATE TABLE lost()")
	a.ok(a.Stop(ctx, instance.StopOptions{Mode: instance.StopImmediate}))
	a.must(a.Rewind(ctx, instance.RewindOptions{Host: "127.0.0.1", Port: b.port, Name: "node-a"}))
	// What was revoked does not come back.
	old := acc
	old.Replication.Password = "never"
	conf.Accounts = &old
	a.must(a.Configure(ctx, conf))
	old.Replication.Password = "nor this"
	a.must(a.Configure(ctx, conf))
	if _, err := a.ReadSource(ctx, "127.0.0.1", b.port); err == nil {
		t.Error("a wrong password lets in")
	}
}

// The TLS settings of replication change while the standby runs: it comes back with a client certificate, and the server shows its new one
// after a reload.
func TestTLSChangesWhileServersRun(t *testing.T) {
	ctx := bounded(t)
	a := newNode(t, "node-a").bootstrap()
	b := newNode(t, "node-b").standbyOf(a)
	ca := newAuthority(t, a)
	ca.issue("server", "server")
	ca.issue("client", "replicator")
	conf := testConfig()
	conf.Params["ssl"], conf.Params["ssl_ca_file"] = "on", ca.path("ca.crt")
	conf.Params["ssl_cert_file"], conf.Params["ssl_key_file"] = ca.path("server.crt"), ca.path("server.key")
	conf.HBA = []string{"local all all scram-sha-256", "host all all all scram-sha-256", "hostssl replication replicator all cert"}
	a.must(a.Configure(ctx, conf))
	acc := instance.Accounts{Superuser: b.opt.Superuser, Replication: b.opt.Replication, Rewind: b.opt.Rewind}
	acc.Replication.Password = ""
	mode := "verify-full"
	if v, err := b.Version(ctx); err != nil || !v.AtLeast(15) {
		mode = "verify-ca" // an address in a certificate counts from libpq 15 on
	}
	acc.Replication.Extra = postgres.Conninfo{}.With("sslmode", mode).With("sslrootcert", ca.path("ca.crt")).
		With("sslcert", ca.path("client.crt")).With("sslkey", ca.path("client.key"))
	standby := testConfig()
	standby.Accounts = &acc
	b.must(b.Configure(ctx, standby))
	serial := "SELECT coalesce(client_serial::text, '') FROM pg_stat_ssl JOIN pg_stat_replication USING (pid) WHERE application_name = 'node-b' AND state = 'streaming'"
	a.await(serial, "3")
	a.must(b.ReadSource(ctx, "127.0.0.1", a.port))
	// New certificates in the files of the old ones: the server's is read at its reload, the client's at its next connection.
	ca.issue("server", "server")
	ca.issue("client", "replicator")
	a.must(a.Configure(ctx, conf))
	b.must(b.Configure(ctx, standby))
	a.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_replication")
	a.await(serial, "5")
	a.must(b.ReadSource(ctx, "127.0.0.1", a.port))
	// Other settings of TLS in place of these: none of the old ones stays behind.
	acc.Replication.Extra = postgres.Conninfo{}.With("sslmode", "disable")
	acc.Replication.Password = b.opt.Replication.Password
	conf.HBA[2] = "host replication replicator all scram-sha-256"
	a.must(a.Configure(ctx, conf))
	b.must(b.Configure(ctx, standby))
	a.await(serial, "")
	if got := b.sql("SHOW primary_conninfo"); !strings.Contains(got, "sslmode=disable") || strings.Contains(got, "sslcert") {
		t.Errorf("primary_conninfo: %s", got)
	}
}

// authority makes certificates that PostgreSQL's user may read.
type authority struct {
	n    *node
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	last int64
}

func newAuthority(t *testing.T, n *node) *authority {
	t.Helper()
	a := &authority{n: n, dir: workDir(t), last: 1}
	a.key = a.newKey()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	n.ok(err)
	a.cert, err = x509.ParseCertificate(der)
	n.ok(err)
	a.write("ca.crt", "CERTIFICATE", der)
	return a
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.n.ok(err)
	return k
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) write(name, kind string, der []byte) {
	a.n.ok(os.WriteFile(a.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	if u, g, root := runAs(a.n.t); root {
		a.n.ok(os.Chown(a.path(name), u, g))
	}
}

// issue writes file.crt and file.key for a name; serial numbers count from 2.
func (a *authority) issue(file, name string) {
	a.last++
	key := a.newKey()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(a.last), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, a.cert, key.Public(), a.key)
	a.n.ok(err)
	a.write(file+".crt", "CERTIFICATE", der)
	der, err = x509.MarshalPKCS8PrivateKey(key)
	a.n.ok(err)
	a.write(file+".key", "PRIVATE KEY", der)
}
