package peertls

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
)

// handshake lets a client meet a server over a real socket (a TLS 1.3 client learns only by reading that it was refused).
func handshake(t *testing.T, client, server *tls.Config) (clientErr, serverErr error) {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	served := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err == nil {
			_, err = c.Write([]byte("hello"))
			_ = c.Close()
		}
		served <- err
	}()
	raw, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	got, clientErr := io.ReadAll(tls.Client(raw, client))
	if clientErr == nil && string(got) != "hello" {
		t.Fatalf("read %q", got)
	}
	return clientErr, <-served
}

func configs(t *testing.T, secret string) (server, client *tls.Config) {
	t.Helper()
	server, client, err := TLSFromSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	return server, client
}

func TestPeersOfOneSecretMeet(t *testing.T) {
	server, _ := configs(t, "one secret")
	_, client := configs(t, "one secret") // another process: another key
	if c, s := handshake(t, client, server); c != nil || s != nil {
		t.Fatalf("client %v, server %v", c, s)
	}
}

func TestOthersAreRefused(t *testing.T) {
	server, ours := configs(t, "one secret")
	_, theirs := configs(t, "another secret")
	nobody := ours.Clone()
	nobody.Certificates = nil
	trusting := theirs.Clone() // does not care who the server is; the server must care
	trusting.InsecureSkipVerify = true
	old := ours.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	for name, client := range map[string]*tls.Config{"another secret": theirs, "no certificate": nobody, "another secret, trusting": trusting, "TLS 1.2": old} {
		t.Run(name, func(t *testing.T) {
			if c, s := handshake(t, client, server); c == nil || s == nil {
				t.Fatalf("client %v, server %v; want both to fail", c, s)
			}
		})
	}
}

func TestAuthorityIsDerived(t *testing.T) {
	a, _, err := deriveAuthority("one secret")
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := deriveAuthority("one secret")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Raw, b.Raw) {
		t.Fatal("two derivations from one secret differ: hosts would not trust each other's certificates")
	}
}

func TestNoSecret(t *testing.T) {
	if _, _, err := TLSFromSecret(""); !errors.Is(err, ErrNoSecret) {
		t.Fatal(err)
	}
}
