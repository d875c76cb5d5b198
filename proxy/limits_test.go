package proxy

import (
	"errors"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCapacity(t *testing.T) {
	listeners := func(max ...int) (o Options) {
		for _, m := range max {
			o.Listeners = append(o.Listeners, ListenerOptions{MaxSessions: m})
		}
		return o
	}
	for name, c := range map[string]struct {
		o     Options
		limit uint64
		want  int
		bad   bool
	}{
		"no limit of ours":          {o: listeners(0, 0), limit: 1024, want: 384},
		"one without":               {o: listeners(1000, 0), limit: 1024, want: 384},
		"a limit of ours":           {o: Options{MaxSessions: 100}, limit: 1024, want: 100},
		"just enough":               {o: listeners(384), limit: 1024, want: 384},
		"too many":                  {o: listeners(200, 185), limit: 1024, bad: true},
		"hardly any descriptors":    {o: listeners(0), limit: 257, bad: true},
		"no limit of the system at": {o: listeners(10000), limit: 1 << 63, want: (1<<30 - 256) / 2},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.o.capacity(c.limit)
			if got != c.want || errors.Is(err, ErrDescriptors) != c.bad {
				t.Fatalf("%d, %v; want %d", got, err, c.want)
			}
		})
	}
}

// Connections that say nothing may not take all descriptors.
func TestMuteClientsAreBounded(t *testing.T) {
	a := newServer(t, "a")
	r := newRouter(t, func(o *Options) { o.MaxSessions = 4 })
	r.Publish(tableOf(1, a.backend(RolePrimary)))
	for range 4 {
		dialRouter(t, r, "primary")
	}
	eventually(t, "four mute clients", func() bool { return r.mute.Load() == 4 })
	expectEnd(t, dialRouter(t, r, "primary")) // the fifth is closed at once; those before it run out of a short patience
	eventually(t, "patience run out", func() bool { return r.mute.Load() <= 2 })
	expectEcho(t, login(t, r, "primary"), "who speaks is served")
}

func TestOutOf(t *testing.T) {
	for _, err := range []error{unix.EMFILE, unix.EADDRNOTAVAIL} {
		if !outOf(&net.OpError{Op: "dial", Err: os.NewSyscallError("socket", err)}) {
			t.Errorf("%v is taken for the backend's failure", err)
		}
	}
	if outOf(&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", unix.ECONNREFUSED)}) {
		t.Error("a refused connection is taken for this host's shortage")
	}
}

// Sessions of all kinds leave no descriptor behind.
func TestDescriptorsAreGivenBack(t *testing.T) {
	a := newServer(t, "a")
	r := newRouter(t, nil)
	table := tableOf(1, a.backend(RolePrimary))
	r.Publish(table)
	_ = login(t, r, "primary").Close()
	idle := func() bool { return len(r.Sessions()) == 0 && a.open() == 0 && r.mute.Load() == 0 }
	eventually(t, "the first session gone", idle)
	before := descriptors(t)
	for i := range 60 {
		c := login(t, r, "primary")
		half := dialRouter(t, r, "primary")
		write(t, half, startup("ann", "shop")[:i%20])
		switch i % 3 {
		case 0:
			_ = c.SetLinger(0)
		case 1:
			table.Term.Rev++
			r.Publish(table)
			expectError(t, c, stateAdminShutdown)
		}
		_ = c.Close()
		_ = half.Close()
	}
	eventually(t, "as many descriptors as before", func() bool { return idle() && descriptors(t) <= before })
}

func descriptors(t *testing.T) int {
	t.Helper()
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(d)
}
