package etcd3

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
)

// connCreds tells gRPC what the listener already knows of a connection: the TLS handshake is over by the time gRPC is
// given the connection (mux.go needs the negotiated protocol), and connections made inside this process are marked.
type connCreds struct{}

// trusted is the peer of a connection that this process has opened to itself on its own behalf.
type trusted struct{ credentials.CommonAuthInfo }

func (trusted) AuthType() string { return "in-process" }

// isTrusted says whether the call came by Server.Conn.
func isTrusted(ctx context.Context) bool {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return false
	}
	_, ok = p.AuthInfo.(trusted)
	return ok
}

// CertUser is the common name of the certificate that the caller of a gRPC method has shown and that was verified; empty without one,
// and for calls by the JSON gateway, whose clients etcd does not know by certificates either.
func CertUser(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return ""
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return ""
	}
	return commonName(&info.State)
}

func (connCreds) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	inner := conn
	if p, ok := conn.(*peekedConn); ok {
		inner = p.Conn
	}
	private := credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}
	switch c := inner.(type) {
	case trustedConn:
		return conn, trusted{private}, nil
	case *tls.Conn:
		return conn, credentials.TLSInfo{State: c.ConnectionState(), CommonAuthInfo: private}, nil
	}
	return conn, plain{}, nil
}

// plain is the peer of a connection without TLS.
type plain struct{ credentials.CommonAuthInfo }

func (plain) AuthType() string { return "plain" }

var errServerSide = errors.New("etcd3: these credentials are for the server side")

func (connCreds) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errServerSide
}
func (connCreds) Info() credentials.ProtocolInfo            { return credentials.ProtocolInfo{} }
func (c connCreds) Clone() credentials.TransportCredentials { return c }
func (connCreds) OverrideServerName(string) error           { return errServerSide }

// tlsKey is the key of a *tls.ConnectionState in a context.
type tlsKey struct{}

// rememberTLS is for http.Server.ConnContext: net/http does not see the TLS of a connection whose first bytes were looked at, as those of clients
// without ALPN are.
func rememberTLS(ctx context.Context, conn net.Conn) context.Context {
	if p, ok := conn.(*peekedConn); ok {
		conn = p.Conn
	}
	if c, ok := conn.(*tls.Conn); ok {
		state := c.ConnectionState()
		return context.WithValue(ctx, tlsKey{}, &state)
	}
	return ctx
}

// withTLS gives requests the TLS that rememberTLS has found.
func withTLS(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil {
			r.TLS, _ = r.Context().Value(tlsKey{}).(*tls.ConnectionState)
		}
		next.ServeHTTP(w, r)
	})
}

// refuseNames refuses, in etcd's words, requests to the gateway whose certificate has a name that somebody may take for a user.
func (s *Server) refuseNames(next http.Handler) http.Handler {
	if !s.opts.CertUsers {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS != nil && commonName(r.TLS) != "" && s.permit.user(context.Background()) != nil { // nobody is refused while users are not checked
			http.Error(w, "CommonName of client sending a request against gateway will be ignored and not used as expected", http.StatusBadRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// commonName is that of the certificate that the client has shown and that was verified.
func commonName(state *tls.ConnectionState) string {
	for _, chain := range state.VerifiedChains {
		if len(chain) > 0 {
			return chain[0].Subject.CommonName
		}
	}
	return ""
}
