package proxy

import (
	"context"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
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
