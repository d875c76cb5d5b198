package rest

import (
	"context"
	"crypto/tls"
	"net"
	"time"
)

// listen opens a TCP socket whose connections are probed, so that clients that vanished do not stay.
func listen(ctx context.Context, network, address string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}
	return lc.Listen(ctx, network, address)
}

// tlsListener gives each connection the TLS that is configured when it comes in, or none.
type tlsListener struct {
	net.Listener
	server *Server
}

func (l tlsListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if conf := l.server.policy.Load().tls; conf != nil {
		return tls.Server(c, conf), nil
	}
	return c, nil
}
