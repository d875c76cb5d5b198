//go:build bench

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	storeMembers = 3
	// storePatience bounds each wait for a store; reaching it fails the benchmark.
	storePatience = time.Minute
)

// storeProduct is a program that takes etcd's flags.
type storeProduct struct {
	name    string
	command []string
	flags   []string
}

// storeCluster is three members of a product on loopback, with their data side by side in one folder.
type storeCluster struct {
	storeProduct
	dir     string
	members []*storeMember
	clients []*clientv3.Client // not for loads: to look and to steer
}

// storeMember is one process, or the place of one.
type storeMember struct {
	client, peer string // host:port
	args         []string
	cmd          *exec.Cmd
	exited       chan struct{}
	log          *os.File
}

// newStoreCluster starts a cluster and waits until each member answers.
func newStoreCluster(ctx context.Context, p storeProduct, dir string) (*storeCluster, error) {
	c := &storeCluster{storeProduct: p}
	var err error
	if c.dir, err = os.MkdirTemp(dir, "bench-"+p.name+"-"); err != nil {
		return nil, err
	}
	ports, err := freePorts(2 * storeMembers)
	if err != nil {
		return nil, err
	}
	var peers []string
	for i := range storeMembers {
		m := &storeMember{client: fmt.Sprintf("127.0.0.1:%d", ports[2*i]), peer: fmt.Sprintf("127.0.0.1:%d", ports[2*i+1])}
		c.members = append(c.members, m)
		peers = append(peers, fmt.Sprintf("m%d=http://%s", i, m.peer))
	}
	for i, m := range c.members {
		m.args = append(slices.Clone(p.command), "--name", fmt.Sprintf("m%d", i), "--data-dir", filepath.Join(c.dir, fmt.Sprintf("m%d", i)),
			"--listen-client-urls", "http://"+m.client, "--advertise-client-urls", "http://"+m.client,
			"--listen-peer-urls", "http://"+m.peer, "--initial-advertise-peer-urls", "http://"+m.peer,
			"--initial-cluster", strings.Join(peers, ","), "--initial-cluster-token", p.name, "--log-level", "warn")
		m.args = append(m.args, p.flags...)
		cl, err := storeDial(m.client)
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		c.clients = append(c.clients, cl)
	}
	if err := c.start(); err != nil {
		return nil, errors.Join(err, c.close())
	}
	if err := c.serves(ctx); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// freePorts finds ports that are free now, below those that the kernel hands out by itself.
func freePorts(n int) ([]int, error) {
	var ports []int
	for p := 21000 + os.Getpid()%5000; p < 32000 && len(ports) < n; p++ {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			continue
		}
		ln.Close()
		ports = append(ports, p)
	}
	if len(ports) < n {
		return nil, errors.New("no free ports between 21000 and 32000")
	}
	return ports, nil
}

func storeDial(addr string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints: []string{"http://" + addr}, DialTimeout: 5 * time.Second, Logger: zap.NewNop(),
		BackoffWaitBetween: 5 * time.Millisecond,
	})
}

// start starts the members that do not run.
func (c *storeCluster) start() error {
	for i, m := range c.members {
		if m.cmd != nil {
			continue
		}
		if err := m.start(filepath.Join(c.dir, fmt.Sprintf("m%d.log", i))); err != nil {
			return err
		}
	}
	return nil
}

func (m *storeMember) start(log string) (err error) {
	if m.log, err = os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	cmd := exec.Command(m.args[0], m.args[1:]...)
	cmd.Stdout, cmd.Stderr = m.log, m.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	m.cmd, m.exited = cmd, exited
	return nil
}

// end ends a member with a signal and waits until it is gone.
func (m *storeMember) end(sig os.Signal) {
	if m.cmd == nil {
		return
	}
	m.cmd.Process.Signal(sig)
	select {
	case <-m.exited:
	case <-time.After(20 * time.Second):
		m.cmd.Process.Kill()
		<-m.exited
	}
	m.cmd = nil
	m.log.Close()
}

// stop ends all members as an operator does.
func (c *storeCluster) stop() {
	var wg sync.WaitGroup
	for _, m := range c.members {
		wg.Go(func() { m.end(syscall.SIGTERM) })
	}
	wg.Wait()
}

// close ends the cluster and deletes its data.
func (c *storeCluster) close() error {
	for _, cl := range c.clients {
		cl.Close()
	}
	c.stop()
	return os.RemoveAll(c.dir)
}

// serves waits until each member answers a linearizable read: /health does one, and a new connection for each look knows no backoff.
func (c *storeCluster) serves(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for i, m := range c.members {
		for {
			r, err := client.Get("http://" + m.client + "/health")
			if err == nil {
				r.Body.Close()
				if r.StatusCode == http.StatusOK {
					break
				}
			}
			if ctx.Err() != nil {
				return fmt.Errorf("%s: member %d does not answer: %w\n%s", c.name, i, err, c.tail(i))
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
	return nil
}

func (c *storeCluster) tail(i int) string {
	b, _ := os.ReadFile(filepath.Join(c.dir, fmt.Sprintf("m%d.log", i)))
	return string(b[max(0, len(b)-2000):])
}

// leader is the index of the member that leads.
func (c *storeCluster) leader(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	for {
		for i, m := range c.members {
			if m.cmd == nil {
				continue
			}
			one, done := context.WithTimeout(ctx, time.Second)
			s, err := c.clients[i].Status(one, m.client)
			done()
			if err == nil && s.Leader != 0 && s.Leader == s.Header.MemberId {
				return i, nil
			}
		}
		if ctx.Err() != nil {
			return 0, fmt.Errorf("%s: no leader", c.name)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// endpoint is where a load goes: the leader or a follower.
func (c *storeCluster) endpoint(ctx context.Context, follower bool) (string, error) {
	i, err := c.leader(ctx)
	if follower {
		i = (i + 1) % storeMembers
	}
	return c.members[i].client, err
}

// cpu is what the members have used so far.
func (c *storeCluster) cpu() (sum time.Duration, err error) {
	for _, m := range c.members {
		one, err := cpuOf(m.cmd.Process.Pid)
		if err != nil {
			return 0, err
		}
		sum += one
	}
	return sum, nil
}

// rss is the members' resident memory on average, in bytes.
func (c *storeCluster) rss() (int64, error) {
	var sum int64
	for _, m := range c.members {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.cmd.Process.Pid))
		if err != nil {
			return 0, err
		}
		_, rest, ok := strings.Cut(string(text), "VmRSS:")
		var kb int64
		if _, err := fmt.Sscan(rest, &kb); !ok || err != nil {
			return 0, fmt.Errorf("no VmRSS of process %d", m.cmd.Process.Pid)
		}
		sum += kb << 10
	}
	return sum / storeMembers, nil
}
