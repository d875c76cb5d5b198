package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The first probe is due the idle time after the set-up, not after the last byte: sessions that came together and are set up apart are probed apart.
func TestKeepAliveCountsFromItsSetUp(t *testing.T) {
	const idle, quiet = time.Hour, 300 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), patienceOfTests)
	defer cancel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := (&net.Dialer{KeepAlive: -1}).DialContext(ctx, "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	socket, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing is heard for a while", func() bool {
		var info *unix.TCPInfo
		var err error
		err = errors.Join(socket.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }), err)
		return err == nil && time.Duration(info.Last_ack_recv)*time.Millisecond >= quiet
	})
	began := time.Now()
	if err := socket.Control(func(fd uintptr) {
		TCPOptions{KeepAliveIdle: idle, KeepAliveInterval: time.Second, KeepAliveCount: 3}.keepAlive(int(fd))
	}); err != nil {
		t.Fatal(err)
	}
	due := probeDue(t, c)
	if early := idle - time.Since(began) - due; early > quiet/2 {
		t.Fatalf("the probe is due in %s: %s too early", due, early)
	}
}

// probeDue is how long the kernel's keep-alive timer for c has still to run (Documentation/networking/proc_net_tcp.rst).
func probeDue(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	table, err := os.ReadFile("/proc/thread-self/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	port := func(a net.Addr) string { return fmt.Sprintf(":%04X", a.(*net.TCPAddr).Port) }
	for line := range strings.Lines(string(table)) {
		var timer, ticks int64
		f := strings.Fields(line)
		if len(f) < 6 || !strings.HasSuffix(f[1], port(c.LocalAddr())) || !strings.HasSuffix(f[2], port(c.RemoteAddr())) {
			continue
		}
		if _, err := fmt.Sscanf(f[5], "%x:%x", &timer, &ticks); err != nil || timer != 2 {
			t.Fatalf("no keep-alive timer is running: %s, %v", f[5], err)
		}
		return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100 on every architecture that Go has
	}
	t.Fatal("the connection is not in the table")
	return 0
}
