package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"quorate/test/lab"
	"quorate/test/lab/patronistack"
)

type options struct {
	store, logs, drivers string
	long                 time.Duration
}

// patience bounds the wait for a whole cluster after a fault.
const patience = 3 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var o options
	f := flag.NewFlagSet("soak", flag.ContinueOnError)
	f.StringVar(&o.store, "store", "", "our program, by a link named etcd")
	f.StringVar(&o.logs, "logs", "", "a folder for the logs (a temporary one)")
	f.StringVar(&o.drivers, "drivers", "etcd3,etcd", "Patroni's drivers to be used, by comma")
	f.DurationVar(&o.long, "for", 10*time.Minute, "how long each of them runs on each store")
	if err := f.Parse(args); err != nil {
		return err
	}
	if err := patronistack.Available(); err != nil {
		return err
	}
	if o.logs == "" {
		dir, err := os.MkdirTemp("", "soak-")
		if err != nil {
			return err
		}
		o.logs = dir
	}
	fmt.Printf("logs in %s\n", o.logs)
	var errs []error
	for driver := range strings.SplitSeq(o.drivers, ",") {
		theirs, err := soak(ctx, o, driver, "etcd")
		if err != nil {
			return fmt.Errorf("etcd, driver %s: %w", driver, err)
		}
		ours, err := soak(ctx, o, driver, o.store)
		if err != nil {
			return fmt.Errorf("our store, driver %s: %w", driver, err)
		}
		fmt.Printf("driver %s:\n", driver)
		for _, s := range compare(os.Stdout, theirs, ours) {
			errs = append(errs, fmt.Errorf("driver %s: only our store makes agents say: %s", driver, s))
		}
	}
	return errors.Join(errs...)
}

// soak runs one driver on one store and returns what the agents complained of after the first start.
func soak(ctx context.Context, o options, driver, store string) (_ complaints, err error) {
	name := map[bool]string{true: "etcd", false: "ours"}[store == "etcd"]
	l, err := lab.New(lab.Options{Logs: filepath.Join(o.logs, driver+"-"+name)})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	var hosts []*lab.Host
	for _, n := range []string{"pg1", "pg2", "pg3", "app"} {
		h, err := l.AddHost(n)
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, h)
	}
	start, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s, err := patronistack.Start(start, patronistack.Options{
		Hosts: hosts[:3], Router: hosts[3], Store: store, Driver: driver, TTL: 20 * time.Second, LoopWait: 10 * time.Second, RetryTimeout: 5 * time.Second,
	})
	if err != nil {
		return nil, err
	}
	c := &cluster{Stack: s, hosts: hosts[:3], client: hosts[3]}
	offsets, err := c.sizes(l)
	if err != nil {
		return nil, err
	}
	faults := map[string]int{}
	for began, n := time.Now(), 0; time.Since(began) < o.long; n++ {
		what, err := c.fault(ctx, n)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		faults[what]++
	}
	fmt.Printf("%s, driver %s: %v\n", name, driver, faults)
	return c.heard(l, offsets)
}

// cluster is Patroni's stack under faults.
type cluster struct {
	*patronistack.Stack
	hosts  []*lab.Host
	client *lab.Host
}

// settle is how long the agents work in peace after each fault.
const settle = 5 * time.Second

// fault does the n-th fault, and waits until the cluster is whole.
func (c *cluster) fault(ctx context.Context, n int) (what string, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	primary := c.Primary(ctx)
	if primary == nil {
		return "look for the primary", errors.New("there is none")
	}
	switch n % 4 {
	case 0, 2:
		what, err = "leader of the store killed", c.killLeader(ctx)
	case 1:
		what, err = "primary killed", c.killPrimary(ctx, primary)
	case 3:
		to := c.hosts[0]
		if to == primary {
			to = c.hosts[1]
		}
		what, err = "switchover", c.Switchover(ctx, primary, to)
	}
	if err == nil {
		err = pause(ctx, settle)
	}
	if err == nil {
		err = c.AwaitHealthy(ctx)
	}
	return what, err
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *cluster) killLeader(ctx context.Context) error {
	h, err := c.leader(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(h.Signal(syscall.SIGKILL, lab.Program("etcd")), pause(ctx, settle)); err != nil {
		return err
	}
	return c.StartStore(h)
}

// killPrimary ends the primary without a farewell, and starts its agent again once another one leads.
func (c *cluster) killPrimary(ctx context.Context, primary *lab.Host) error {
	if err := primary.Signal(syscall.SIGKILL, c.Agent(), lab.Postmaster, lab.Backend); err != nil {
		return err
	}
	for c.Primary(ctx) == nil || c.Primary(ctx) == primary {
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
	return c.StartAgent(primary)
}

// leader asks the store's members who leads them.
func (c *cluster) leader(ctx context.Context) (*lab.Host, error) {
	client := http.Client{
		Timeout: 2 * time.Second,
		Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return c.client.Dial(ctx, network, addr)
		}},
	}
	for {
		var last error
		for _, h := range c.hosts {
			leads, err := asksItself(ctx, &client, "http://"+h.Addr(2379)+"/v3/maintenance/status")
			if leads {
				return h, nil
			}
			last = errors.Join(last, err)
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return nil, fmt.Errorf("the store has no leader: %w: %w", err, last)
		}
	}
}

// asksItself says whether the member that answers is the leader.
func asksItself(ctx context.Context, client *http.Client, url string) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader([]byte("{}")))
	if err != nil {
		return false, err
	}
	r, err := client.Do(req)
	if err != nil {
		return false, err
	}
	defer r.Body.Close()
	var status struct {
		Leader string
		Header struct {
			MemberID string `json:"member_id"`
		}
	}
	err = json.NewDecoder(r.Body).Decode(&status)
	return err == nil && status.Leader != "" && status.Leader == status.Header.MemberID, err
}

func agentLogPath(l *lab.Lab, h *lab.Host) string {
	return filepath.Join(l.Logs(), h.Name, "patroni.log")
}

// sizes are those of the agents' logs: what the start of a cluster brings is not compared.
func (c *cluster) sizes(l *lab.Lab) ([]int64, error) {
	var list []int64
	for _, h := range c.hosts {
		st, err := os.Stat(agentLogPath(l, h))
		if err != nil {
			return nil, err
		}
		list = append(list, st.Size())
	}
	return list, nil
}

// heard are the complaints since the logs had those sizes.
func (c *cluster) heard(l *lab.Lab, sizes []int64) (complaints, error) {
	all := complaints{}
	for i, h := range c.hosts {
		f, err := os.Open(agentLogPath(l, h))
		if err != nil {
			return nil, err
		}
		_, err = f.Seek(sizes[i], 0)
		err = errors.Join(err, all.read(f), f.Close())
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}
