package node

import (
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"quorate/internal/config"
)

// A reload opens and closes the router's listeners; one that cannot be opened is told of, and leaves them as they were.
func TestReloadOfListeners(t *testing.T) {
	s := newSite(t)
	conf := s.config("")
	n := &Node{
		cfg: conf, current: conf, log: slog.New(slog.DiscardHandler), reg: prometheus.NewRegistry(),
		opt: Options{Reload: func() (*config.Config, error) { return s.load(), nil }},
	}
	if err := n.makeRouter(); err != nil {
		t.Fatal(err)
	}
	if err := n.startRouter(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.stopRouter(t.Context()) })
	open := func(port int) bool {
		c, err := net.Dial("tcp", s.addr(port))
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}
	if !open(portPrimary) || !open(portReplica) || open(portPeer) {
		t.Fatal("the ports at the start")
	}
	text := s.read("c.yml")
	moved := strings.ReplaceAll(text, s.addr(portReplica), s.addr(portREST)) // which nobody uses here
	moved = strings.ReplaceAll(moved, "restapi: {listen: \""+s.addr(portREST), "restapi: {listen: \""+s.addr(portReplica))
	s.write("c.yml", moved)
	if err := n.reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !open(portPrimary) || open(portReplica) || !open(portREST) {
		t.Error("the ports after the reload")
	}
	taken, err := net.Listen("tcp", s.addr(portReplica))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s.write("c.yml", text)
	if err := n.reload(t.Context()); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("a reload to a port in use: %v", err)
	}
	if !open(portPrimary) || !open(portREST) {
		t.Error("a reload that failed has changed the ports")
	}
}

// The other settings of the router take effect by a reload, too: its statistics move, and what is read when it is needed is the newest.
func TestReloadOfTheRoutersSettings(t *testing.T) {
	s := newSite(t)
	conf := s.config("")
	n := &Node{
		cfg: conf, current: conf, log: slog.New(slog.DiscardHandler), reg: prometheus.NewRegistry(),
		opt: Options{Reload: func() (*config.Config, error) { return s.load(), nil }},
	}
	if err := errors.Join(n.makeRouter(), n.startRouter(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.stopRouter(t.Context()) })
	t.Cleanup(func() { _ = n.stats.close() })
	spare, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := spare.Addr().String()
	_ = spare.Close()
	served := func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}
	text := s.read("c.yml")
	s.write("c.yml", strings.Replace(text, "proxy: {", "proxy: {max_sessions: 7, drain_timeout: 9s, stats_listen: '"+address+"', ", 1))
	if err := n.reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n.drainTimeout() != 9*time.Second || n.router.Status().Capacity != 7 || !served() {
		t.Errorf("after the reload: drain %s, %d sessions, statistics %v", n.drainTimeout(), n.router.Status().Capacity, served())
	}
	s.write("c.yml", text)
	if err := n.reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n.drainTimeout() != drainDefault || n.router.Status().Capacity == 7 || served() {
		t.Errorf("and back: drain %s, %d sessions, statistics %v", n.drainTimeout(), n.router.Status().Capacity, served())
	}
}
