package proxy

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A router hands its doors to a second one: old sessions run on in the first, and nobody who connects meanwhile is refused.
func TestHandOver(t *testing.T) {
	a := newServer(t, "a")
	path := filepath.Join(t.TempDir(), "s")
	old := newRouter(t, func(o *Options) { o.Listeners[1].Listen = path })
	old.Publish(tableOf(1, a.backend(RolePrimary), Backend{Name: "r", Addr: a.addr(), Role: RoleReplica, Running: true}))
	kept := login(t, old, "primary")
	address := old.Addr("primary").String()

	stop, refused, opened := make(chan struct{}), atomic.Int64{}, atomic.Int64{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, target := range [][2]string{{"tcp", address}, {"unix", path}} {
				c, err := net.Dial(target[0], target[1])
				if err != nil {
					refused.Add(1)
					continue
				}
				_, _ = c.Write(startup("ann", "shop"))
				if n, err := c.Read(make([]byte, 1)); n != 1 || err != nil {
					refused.Add(1)
				}
				opened.Add(1)
				_ = c.Close()
			}
		}
	}()
	eventually(t, "clients through the old router", func() bool { return opened.Load() > 10 })

	files, err := old.Files()
	if err != nil {
		t.Fatal(err)
	}
	inherited := map[string]net.Listener{}
	for _, f := range files {
		ln, err := net.FileListener(f.File)
		if err != nil {
			t.Fatal(err)
		}
		_ = f.File.Close()
		inherited[ln.Addr().String()] = ln
	}
	young := newRouter(t, func(o *Options) {
		o.Listeners[0].Listen, o.Listeners[1].Listen = address, path
		o.Listen = func(_ context.Context, _, address string) (net.Listener, error) { return inherited[address], nil }
	})
	young.Publish(tableOf(1, a.backend(RolePrimary), Backend{Name: "r", Addr: a.addr(), Role: RoleReplica, Running: true}))
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- old.Stop(ctx) }()

	before := opened.Load()
	eventually(t, "clients through the new router", func() bool { return opened.Load() > before+20 && len(old.Sessions()) == 1 })
	close(stop)
	<-done
	if n := refused.Load(); n > 0 {
		t.Errorf("%d of %d clients were refused", n, n+opened.Load())
	}
	expectEcho(t, kept, "an old session runs on in the old router")
	cancel()
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
}

// A router whose doors another process has refuses none of the clients that wait in it: they are served when there is a primary, or have their
// answer at the end of their own hold time. Only a client that waits for longer than the process may live is sent away.
func TestRetiredRouterServesWhoWaits(t *testing.T) {
	a := newServer(t, "a")
	old := newRouter(t, func(o *Options) { o.Listeners[1].Hold.Timeout = 500 * time.Millisecond })
	held, mute, hopeless := dialRouter(t, old, "primary"), dialRouter(t, old, "primary"), dialRouter(t, old, "replica")
	write(t, held, startup("ann", "shop"))
	write(t, mute, startup("bob", "shop")[:9])
	write(t, hopeless, startup("eve", "shop"))
	eventually(t, "two clients held", func() bool { return old.Waiting() == 2 })
	eventually(t, "a third one is accepted", func() bool { return old.mute.Load() == 1 })

	retired := make(chan error, 1)
	go func() { retired <- old.Retire(t.Context()) }()
	eventually(t, "the doors closed", func() bool {
		c, err := net.Dial("tcp", old.Addr("primary").String())
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	write(t, mute, startup("bob", "shop")[9:])
	eventually(t, "a client that was late with its first packet waits too", func() bool { return old.Status().Listeners[0].Held == 2 })
	if text := expectError(t, hopeless, stateCannotConnectNow); !strings.Contains(text, "no replica is available") {
		t.Errorf("at the end of its hold time a client is told %q", text)
	}
	select {
	case err := <-retired:
		t.Fatalf("retired with clients that wait: %v", err)
	default:
	}
	old.Publish(tableOf(1, a.backend(RolePrimary)))
	for _, c := range []net.Conn{held, mute} {
		expectMessage(t, c, 'R')
		expectMessage(t, c, 'K')
		expectMessage(t, c, 'Z')
	}
	if err := <-retired; err != nil {
		t.Fatal(err)
	}
	expectEcho(t, held, "the session runs on")

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	other := newRouter(t, nil)
	write(t, dialRouter(t, other, "primary"), startup("ann", "shop"))
	eventually(t, "a client held", func() bool { return other.Waiting() == 1 })
	if err := other.Retire(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("retired with a client that waits: %v", err)
	}
}
