package node

import (
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"quorate/internal/boottime"
	"quorate/internal/config"
	"quorate/proxy"
)

// living is a successor that serves and does not end before the test.
type living struct{ ready, done chan struct{} }

func (l living) Ready() <-chan struct{} { return l.ready }
func (l living) Done() <-chan struct{}  { return l.done }

// After an upgrade the old process serves the clients that wait in it, also when proxy.upgrade_timeout ends sessions at once, and ends then.
func TestUpgradeRefusesNobody(t *testing.T) {
	backend, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer backend.Close()
	go func() {
		for {
			c, err := backend.Accept()
			if err != nil {
				return
			}
			if _, err := c.Read(make([]byte, 100)); err == nil {
				_, _ = c.Write([]byte{'R', 0, 0, 0, 8, 0, 0, 0, 0})
			}
			_, _ = io.Copy(io.Discard, c)
			_ = c.Close()
		}
	}()
	for name, limit := range map[string]time.Duration{"no limit": 0, "a short limit": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			r, err := proxy.New(proxy.Options{Listeners: []proxy.ListenerOptions{{Name: "primary", Listen: "127.0.0.1:0", Rule: proxy.Rule{Target: proxy.TargetPrimary}}}})
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			n := &Node{current: &config.Config{Proxy: config.Proxy{UpgradeTimeout: limit}}, log: slog.New(slog.DiscardHandler), router: r}
			c, err := net.Dial("tcp", r.Addr("primary").String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			body := []byte("\x00\x03\x00\x00user\x00ann\x00\x00")
			if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...)); err != nil {
				t.Fatal(err)
			}
			eventually(t, "a client waits", func() bool { return r.Waiting() == 1 })
			successor := living{make(chan struct{}), make(chan struct{})}
			defer close(successor.done)
			over := make(chan error, 1)
			go func() { over <- n.runOut(t.Context(), successor) }()
			eventually(t, "the old process's door is closed", func() bool {
				c, err := net.Dial("tcp", r.Addr("primary").String())
				if err == nil {
					_ = c.Close()
				}
				return err != nil
			})
			r.Publish(proxy.Table{
				Scope: "s", Term: proxy.Term{Cluster: 1, Rev: 1}, ValidUntil: boottime.Now().Add(time.Minute),
				Backends: []proxy.Backend{{Name: "a", Addr: backend.Addr().String(), Role: proxy.RolePrimary, Running: true}},
			})
			got := make([]byte, 1)
			if _, err := io.ReadFull(c, got); err != nil || got[0] != 'R' {
				t.Fatalf("the client that waited gets %q, %v; want the server's answer", got, err)
			}
			_ = c.Close()
			if err := <-over; err != nil {
				t.Fatal(err)
			}
		})
	}
}
