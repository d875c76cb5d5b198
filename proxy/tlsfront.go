package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"quorate/proxy/relay"
)

// errPlain turns a client away that must use TLS.
var errPlain = errors.New("this port takes encrypted connections only")

// secure ends TLS here, where the listener is to, and returns the client's first packet inside.
func (o *opening) secure(p start) (start, error) {
	cert := o.l.now.Load().cert
	if cert == nil {
		return p, nil
	}
	var err error
	for p.kind == startGSS && err == nil {
		p, err = o.decline()
	}
	switch {
	case err != nil:
		return p, err
	case p.kind == startSSL:
		if rest := o.in.rest(); len(rest) > 0 { // somebody may have put them there: CVE-2021-23214
			return p, fmt.Errorf("%w: %d bytes behind its request for TLS", errNotPostgres, len(rest))
		}
		if _, err := o.client.Write([]byte{'S'}); err != nil {
			return p, fmt.Errorf("accept TLS: %w", err)
		}
		return o.handshake(cert, nil)
	case p.kind == startDirectTLS:
		return o.handshake(cert, append(p.raw, o.in.rest()...))
	case p.kind == startSession && cert.opts.Require:
		o.packet = p
		return p, errPlain
	}
	return p, nil
}

// handshake continues behind TLS; ahead is what has been read of the client's hello.
func (o *opening) handshake(cert *certificate, ahead []byte) (start, error) {
	front := newTLSFront(o.r, o.client, ahead, cert.config())
	o.client, o.in = front, startReader{conn: front}
	ctx, cancel := context.WithTimeout(o.r.ctx, o.r.opts().StartTimeout)
	defer cancel()
	if err := front.tls.HandshakeContext(ctx); err != nil {
		return start{}, fmt.Errorf("TLS: %w", err)
	}
	return o.in.next(o.r.opts().StartTimeout)
}

// tlsFront is a client's connection whose TLS ends here. It behaves as the plain connection inside.
type tlsFront struct {
	duplex // the socket: for its addresses, and to see it hang up
	r      *Router
	tls    *tls.Conn
}

func newTLSFront(r *Router, c duplex, ahead []byte, config *tls.Config) *tlsFront {
	return &tlsFront{duplex: c, r: r, tls: tls.Server(&prefixed{c, bytes.NewReader(ahead)}, config)}
}

func (f *tlsFront) Read(p []byte) (int, error)  { return f.tls.Read(p) }
func (f *tlsFront) Write(p []byte) (int, error) { return f.tls.Write(p) }
func (f *tlsFront) CloseWrite() error           { return f.tls.CloseWrite() }

// detach gives the relay a socket that is plain, for the client of server, by way of two goroutines. TLS costs more than they do.
func (f *tlsFront) detach(server *relay.Conn) (*relay.Conn, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("take a TLS connection: %w", err), f.Close())
	}
	file := os.NewFile(uintptr(fds[0]), "tls")
	inner, err := net.FileConn(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("take a TLS connection: %w", err), unix.Close(fds[1]), f.Close())
	}
	f.r.clients.Go(func() { f.carry(inner.(*net.UnixConn)) })
	return f.r.engine.Conn(server, fds[1], nil), nil
}

// carry passes bytes between the TLS connection and the relay until the relay has closed its end.
func (f *tlsFront) carry(inner *net.UnixConn) {
	defer func() { _ = errors.Join(inner.Close(), f.Close()) }()
	var up sync.WaitGroup
	up.Go(func() {
		if _, err := io.Copy(inner, f.tls); err != nil {
			_ = inner.Close() // the client is lost, or the relay gone
			return
		}
		_ = inner.CloseWrite()
	})
	if _, err := io.Copy(f.tls, inner); err == nil {
		_ = f.tls.CloseWrite()
	}
	// The relay has said all; it ends the other way too, at the latest when it gives a lingering client up.
	_ = f.SetReadDeadline(time.Now().Add(f.r.opts().LingerTimeout))
	stop := context.AfterFunc(f.r.ctx, func() { _ = f.SetReadDeadline(time.Now().Add(farewellWait)) })
	up.Wait()
	stop()
}

// prefixed is a connection some of whose bytes have been read already.
type prefixed struct {
	net.Conn
	ahead *bytes.Reader
}

func (p *prefixed) Read(b []byte) (int, error) {
	if p.ahead.Len() > 0 {
		return p.ahead.Read(b)
	}
	return p.Conn.Read(b)
}
