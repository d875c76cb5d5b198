package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A new configuration adds, removes, renames and changes listeners. No session and no client that waits ends by it, and a port that stays
// refuses nobody.
func TestReconfigure(t *testing.T) {
	a, b := newServer(t, "a"), newServer(t, "b")
	path := filepath.Join(t.TempDir(), "s")
	primary := ListenerOptions{Name: "primary", Listen: "127.0.0.1:0", Rule: Rule{Target: TargetPrimary}}
	local := ListenerOptions{Name: "local", Listen: path, Rule: Rule{Target: TargetPrimary}}
	gone := ListenerOptions{Name: "gone", Listen: "127.0.0.1:0", Rule: Rule{Target: TargetSync}}
	r := newRouter(t, func(o *Options) { o.Listeners = []ListenerOptions{primary, local, gone} })
	r.Publish(tableOf(1, a.backend(RolePrimary), b.backend(RoleReplica)))
	address, closed := r.Addr("primary").String(), r.Addr("gone").String()
	kept := login(t, r, "primary")
	held := dialRouter(t, r, "gone") // there is no synchronous standby
	write(t, held, startup("ann", "shop"))
	eventually(t, "a client held", func() bool { return r.Waiting() == 1 })

	// Clients that connect anew all the time, to the port that stays and to the one that is renamed.
	stop, refused := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				close(refused)
				return
			default:
			}
			for _, target := range [][2]string{{"tcp", address}, {"unix", path}} {
				c, err := net.Dial(target[0], target[1])
				if err == nil {
					_, _ = c.Write(startup("ann", "shop"))
					_, err = c.Read(make([]byte, 1))
					_ = c.Close()
				}
				if err != nil {
					refused <- err
					return
				}
			}
		}
	}()
	changed, renamed := primary, local
	changed.Rule.Target, changed.MaxSessions, renamed.Name = TargetAny, 50, "apps"
	added := ListenerOptions{Name: "added", Listen: "127.0.0.1:0", Rule: Rule{Target: TargetReplica}}
	for range 20 { // there and back
		for _, list := range [][]ListenerOptions{{changed, renamed, added}, {primary, local}} {
			if err := r.Reconfigure(t.Context(), withListeners(r, list...)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := r.Reconfigure(t.Context(), withListeners(r, changed, renamed, added)); err != nil {
		t.Fatal(err)
	}
	close(stop)
	if err := <-refused; err != nil {
		t.Errorf("a port that stays: %v", err)
	}
	if got := r.Addr("primary").String(); got != address {
		t.Errorf("the port that stays is %s and was %s", got, address)
	}
	expectEcho(t, kept, "a session outlives all of it")
	expectEcho(t, login(t, r, "added"), "the new listener")
	if c, err := net.Dial("tcp", closed); err == nil {
		_ = c.Close()
		t.Error("a listener that was removed is open")
	}
	// The last sessions of a listener that is gone may still be on their way out.
	eventually(t, "of the removed listeners only the one where a client waits", func() bool {
		var names []string
		for _, l := range r.Status().Listeners {
			names = append(names, l.Name)
		}
		return strings.Join(names, " ") == "primary gone apps added"
	})
	sync := b.backend(RoleReplica)
	sync.Sync = true
	r.Publish(tableOf(1, a.backend(RolePrimary), sync))
	expectMessage(t, held, 'R')
	for range 4 { // the changed target is in use: both servers get sessions
		login(t, r, "primary")
	}
	on := map[string]bool{}
	for _, s := range r.Sessions() {
		if s.Listener == "primary" {
			on[s.Backend] = true
		}
	}
	if !on["a"] || !on["b"] {
		t.Errorf("target any leads to %v", on)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// A configuration of which something does not work changes nothing.
func TestReconfigureFails(t *testing.T) {
	a := newServer(t, "a")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	r := newRouter(t, nil)
	r.Publish(tableOf(1, a.backend(RolePrimary)))
	was := r.Addr("replica").String()
	good := ListenerOptions{Name: "good", Listen: "127.0.0.1:0", Rule: Rule{Target: TargetAny}}
	for name, bad := range map[string]ListenerOptions{
		"a port in use":       {Name: "bad", Listen: taken.Addr().String(), Rule: Rule{Target: TargetAny}},
		"no such certificate": {Name: "bad", Listen: "127.0.0.1:0", Rule: Rule{Target: TargetAny}, TLS: &TLSOptions{CertFile: "/nowhere"}},
		"no such target":      {Name: "bad", Listen: "127.0.0.1:0", Rule: Rule{Target: "boss"}},
		"too many sessions":   {Name: "good", Listen: "127.0.0.1:0", Rule: Rule{Target: TargetAny}, MaxSessions: 1 << 30},
	} {
		list := []ListenerOptions{good, bad}
		if bad.Name == good.Name {
			list = []ListenerOptions{bad}
		}
		if err := r.Reconfigure(t.Context(), withListeners(r, list...)); err == nil {
			t.Errorf("%s: taken", name)
		}
		if got := r.Addr("replica"); got == nil || got.String() != was || r.Addr("good") != nil {
			t.Errorf("%s: replica at %v, good at %v", name, got, r.Addr("good"))
		}
	}
	expectEcho(t, login(t, r, "primary"), "all goes on")
	now, cancel := context.WithCancel(t.Context())
	cancel()
	_ = r.Retire(now)
	if err := r.Reconfigure(t.Context(), withListeners(r, good)); err != ErrStopped {
		t.Errorf("after the end: %v", err)
	}
}

// A socket that is passed on to another listener, or to a new process, must not begin to block: whoever accepts just then would wait in the kernel, and
// whoever closes the listener would wait for him with the router's lock held.
func TestPassedSocketDoesNotBlock(t *testing.T) {
	r := newRouter(t, func(o *Options) {
		o.Listeners = []ListenerOptions{
			{Name: "tcp", Listen: "127.0.0.1:0", Rule: Rule{Target: TargetPrimary}},
			{Name: "unix", Listen: filepath.Join(t.TempDir(), "s"), Rule: Rule{Target: TargetPrimary}},
		}
	})
	files, err := r.Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		fd := f.File.Fd() // as exec asks for it
		if flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
			t.Errorf("the socket of %s blocks (flags %#x, %v)", f.Name, flags, err)
		}
		if err := f.File.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, l := range r.listeners {
		twin, err := r.duplicate(l.ln)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := l.ln.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		err = raw.Control(func(fd uintptr) {
			if flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK == 0 {
				t.Errorf("the socket of %s blocks (flags %#x, %v)", l.opts().Name, flags, err)
			}
		})
		if err := errors.Join(err, twin.Close()); err != nil {
			t.Error(err)
		}
	}
}

// withListeners are a router's options with other listeners.
func withListeners(r *Router, list ...ListenerOptions) Options {
	o := *r.opts()
	o.Listeners = list
	return o
}

// Limits, times and the access log of a new configuration hold at once, and end no session.
func TestReconfigureSettings(t *testing.T) {
	a := newServer(t, "a")
	var lines lockedBuffer
	r := newRouter(t, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&lines, nil)) })
	r.Publish(tableOf(1, a.backend(RolePrimary)))
	first, second := login(t, r, "primary"), login(t, r, "primary")

	o := *r.opts()
	o.MaxSessions, o.AccessLog, o.StartTimeout = 1, true, 20*time.Millisecond
	if err := r.Reconfigure(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	mute := dialRouter(t, r, "primary")
	if _, err := mute.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a client that says nothing is told %v", err)
	}
	held := dialRouter(t, r, "primary")
	write(t, held, startup("ann", "shop"))
	eventually(t, "a client over the new limit waits", func() bool { return r.Waiting() == 1 })
	expectEcho(t, first, "over the limit and alive")
	_ = second.Close()
	eventually(t, "the access log", func() bool { return strings.Contains(lines.String(), "msg=session") })

	o.MaxSessions = 0
	if err := r.Reconfigure(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	expectMessage(t, held, 'R')
}

// lockedBuffer is what a log is written to and read from at once.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
