//go:build torture

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"quorate/test/lab"
)

const (
	members = 3
	// patience bounds each wait; reaching it is a failure of the store.
	patience = time.Minute
	// diskSize, in megabytes, is enough for log, snapshots and backend of these loads.
	diskSize = 300
)

type member struct {
	host *lab.Host
	disk *lab.Disk
	proc *lab.Process
	args []string
	addr string
	c    *clientv3.Client // to steer, and for the checks
}

type cluster struct{ members []*member }

func newCluster(ctx context.Context, l *lab.Lab, o options) (*cluster, error) {
	c := &cluster{}
	var peers []string
	for i := range members {
		h, err := l.AddHost(fmt.Sprintf("m%d", i))
		if err != nil {
			return nil, err
		}
		m := &member{host: h, addr: h.Addr(2379)}
		if m.disk, err = h.AddDisk("root", "store", diskSize); err != nil {
			return nil, err
		}
		c.members = append(c.members, m)
		peers = append(peers, h.Name+"=http://"+h.Addr(2380))
	}
	for _, m := range c.members {
		client, peer := "http://"+m.addr, "http://"+m.host.Addr(2380)
		m.args = []string{
			o.binary, "etcd", "--name", m.host.Name, "--data-dir", filepath.Join(m.disk.Path, "data"), "--listen-client-urls", client,
			"--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", strings.Join(peers, ","),
		}
		var err error
		if m.c, err = m.dial(); err != nil {
			return nil, err
		}
		if err := m.start(); err != nil {
			return nil, err
		}
	}
	return c, c.whole(ctx)
}

func (m *member) start() (err error) {
	m.proc, err = m.host.Start(lab.Spec{Name: "store", Args: m.args})
	return err
}

// dial connects from the member's own host, so that a cut of its network does not cut its clients off.
func (m *member) dial() (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints: []string{"http://" + m.addr}, Logger: zap.NewNop(), DialTimeout: time.Second,
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return m.host.Dial(ctx, "tcp", strings.TrimPrefix(addr, "http://"))
		})},
	})
}

// whole waits until every member answers.
func (c *cluster) whole(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, m := range c.members {
		for {
			one, done := context.WithTimeout(ctx, 2*time.Second)
			_, err := m.c.Get(one, "whole")
			done()
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				return fmt.Errorf("%s does not come back: %w", m.host.Name, err)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	return nil
}

// leader is the member that leads, or a random one when none says so.
func (c *cluster) leader(ctx context.Context, rnd *rand.Rand) *member {
	for _, m := range c.members {
		one, done := context.WithTimeout(ctx, time.Second)
		s, err := m.c.Status(one, m.addr)
		done()
		if err == nil && s.Leader == s.Header.MemberId {
			return m
		}
	}
	return c.members[rnd.IntN(members)]
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// disturb does something bad and undoes it again. It returns what it was.
func (c *cluster) disturb(ctx context.Context, rnd *rand.Rand) (string, error) {
	m := c.leader(ctx, rnd)
	if rnd.IntN(3) == 0 {
		m = c.members[rnd.IntN(members)]
	}
	other := c.members[rnd.IntN(members)]
	long := time.Duration(200+rnd.IntN(5000)) * time.Millisecond
	switch rnd.IntN(8) {
	case 0:
		return "kill", m.kill(ctx, long/4)
	case 1:
		for _, m := range c.members { // all at once: what was acknowledged is on disks
			if err := m.proc.Signal(syscall.SIGKILL); err != nil {
				return "kill all", err
			}
		}
		var errs []error
		for _, m := range c.members {
			<-m.proc.Done()
			errs = append(errs, m.start())
		}
		return "kill all", errors.Join(errs...)
	case 2:
		err := m.proc.Signal(syscall.SIGSTOP)
		pause(ctx, long)
		return "stop and continue", errors.Join(err, m.proc.Signal(syscall.SIGCONT))
	case 3:
		err := m.host.Cut()
		pause(ctx, long)
		return "cut", errors.Join(err, m.host.Heal())
	case 4:
		if other == m {
			other = c.members[(rnd.IntN(members-1)+1)%members]
		}
		err := m.host.CutFrom(other.host)
		pause(ctx, long)
		return "cut one way", errors.Join(err, m.host.Heal())
	case 5:
		one, done := context.WithTimeout(ctx, 2*time.Second)
		defer done()
		if s, err := other.c.Status(one, other.addr); err == nil {
			_, _ = m.c.MoveLeader(one, s.Header.MemberId) // it may refuse
		}
		return "move leader", nil
	case 6:
		err := m.disk.Hang(patience)
		pause(ctx, long)
		return "disk hangs", errors.Join(err, m.disk.Thaw())
	}
	var errs []error // a slow disk: nothing but short hangs
	for range 10 {
		errs = append(errs, m.disk.Hang(patience))
		pause(ctx, time.Duration(20+rnd.IntN(150))*time.Millisecond)
		errs = append(errs, m.disk.Thaw())
		pause(ctx, 20*time.Millisecond)
	}
	return "slow disk", errors.Join(errs...)
}

func (m *member) kill(ctx context.Context, down time.Duration) error {
	if err := m.proc.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-m.proc.Done()
	pause(ctx, down)
	return m.start()
}

// alike compares the members' hashes.
func (c *cluster) alike(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := c.members[0].c.Get(ctx, "whole")
	if err != nil {
		return err
	}
	hashes := map[uint32]bool{}
	var said []string
	for _, m := range c.members {
		if _, err := m.c.Get(ctx, "whole"); err != nil { // it has applied what the first one had
			return err
		}
		h, err := m.c.HashKV(ctx, m.addr, r.Header.Revision)
		if err != nil {
			return err
		}
		hashes[h.Hash] = true
		said = append(said, fmt.Sprintf("%s: %d (compacted at %d)", m.host.Name, h.Hash, h.CompactRevision))
	}
	if len(hashes) != 1 {
		return fmt.Errorf("the members differ at revision %d: %s", r.Header.Revision, strings.Join(said, ", "))
	}
	return nil
}
