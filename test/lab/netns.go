package lab

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// netnsDir is where ip-netns(8) keeps its names.
const netnsDir = "/run/netns"

// netns is a named network namespace.
type netns struct {
	name  string
	file  *os.File // open for setns, and keeps the namespace for as long as it is
	inode uint64
}

func newNetns(name string) (*netns, error) {
	if err := ip("netns", "add", name); err != nil {
		return nil, err
	}
	n, err := openNetns(name)
	if err != nil {
		return nil, err
	}
	if err := n.ip("link", "set", "lo", "up"); err != nil {
		return nil, err
	}
	return n, nil
}

func openNetns(name string) (*netns, error) {
	path := filepath.Join(netnsDir, name)
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	inode, err := inodeOf(path)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &netns{name: name, file: f, inode: inode}, nil
}

// remove takes the name away; the namespace itself goes when its last process and socket have gone.
func (n *netns) remove() error {
	n.file.Close()
	return ip("netns", "delete", n.name)
}

// ip runs ip(8) on the namespace.
func (n *netns) ip(args ...string) error { return ip(append([]string{"-n", n.name}, args...)...) }

// do runs fn on a thread that is in the namespace: processes that fn starts and sockets that it opens belong there for life.
func (n *netns) do(fn func() error) error {
	done := make(chan error, 1)
	go func() { done <- n.onThread(fn) }()
	return <-done
}

// onThread leaves the thread locked, so that the runtime ends it with its goroutine, when the way back into the own namespace fails.
func (n *netns) onThread(fn func() error) error {
	runtime.LockOSThread()
	home, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("lab: enter namespace %s: %w", n.name, err)
	}
	err = fn()
	if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
		runtime.UnlockOSThread()
	}
	return err
}

// dial connects from inside the namespace. The address holds no name to look up: a lookup would run on another thread.
func (n *netns) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = n.do(func() error {
		d := net.Dialer{FallbackDelay: -1}
		conn, err = d.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

func ip(args ...string) error { return command("ip", args...) }

// command runs a short administrative command and puts what it said into the error.
func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("lab: %s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
