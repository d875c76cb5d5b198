//go:build bench

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// storeConns bounds the connections of one load: many clients share one, as the Go client's users do.
const storeConns = 20

// loadResult is what a load of equal requests gave.
type loadResult struct {
	rate float64 // requests a second
	p99  time.Duration
}

// load sends requests from a number of clients, each its next as soon as it has its answer, for a time.
func load(ctx context.Context, addr string, clients int, long time.Duration,
	request func(ctx context.Context, c *clientv3.Client, worker, i int) error) (loadResult, error) {
	conns := make([]*clientv3.Client, min(clients, storeConns))
	for i := range conns {
		c, err := storeDial(addr)
		if err != nil {
			return loadResult{}, err
		}
		defer c.Close()
		if _, err := c.Get(ctx, "health"); err != nil { // connect before the clock runs
			return loadResult{}, err
		}
		conns[i] = c
	}
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		all    []time.Duration
		failed error
	)
	began := time.Now()
	for w := range clients {
		wg.Go(func() {
			var took []time.Duration
			var err error
			for i := 0; err == nil && time.Since(began) < long; i++ {
				at := time.Now()
				err = request(ctx, conns[w%len(conns)], w, i)
				took = append(took, time.Since(at))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			failed = errors.Join(failed, err)
		})
	}
	wg.Wait()
	if failed != nil {
		return loadResult{}, failed
	}
	return loadResult{rate: float64(len(all)) / time.Since(began).Seconds(), p99: quantile(all, 0.99)}, nil
}

// quantile of measured times: one of them.
func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(len(d)-1, int(float64(len(d))*q))]
}

// storeKeys is how many keys the loads write and read.
const storeKeys = 1000

func storeKey(i int) string { return fmt.Sprintf("/bench/%06d", i) }

func storeValue() string {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte('a' + rand.IntN(26))
	}
	return string(b)
}

func puts(ctx context.Context, addr string, clients int, long time.Duration) (loadResult, error) {
	value := storeValue()
	return load(ctx, addr, clients, long, func(ctx context.Context, c *clientv3.Client, w, i int) error {
		_, err := c.Put(ctx, storeKey(rand.IntN(storeKeys)), value)
		return err
	})
}

func gets(ctx context.Context, addr string, clients int, long time.Duration, opts ...clientv3.OpOption) (loadResult, error) {
	return load(ctx, addr, clients, long, func(ctx context.Context, c *clientv3.Client, w, i int) error {
		_, err := c.Get(ctx, storeKey(rand.IntN(storeKeys)), opts...)
		return err
	})
}

// watchLatency has many watchers of one key, on streams of 50 over all members, and returns the time from before a put to an event's arrival.
func (c *storeCluster) watchLatency(ctx context.Context, watchers int, long time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	const key, perStream = "/bench/watched", 50
	var mu sync.Mutex
	var all []time.Duration
	var wg sync.WaitGroup
	var created sync.WaitGroup
	for i := range watchers {
		if i%perStream == 0 {
			cl, err := storeDial(c.members[(i/perStream)%storeMembers].client)
			if err != nil {
				return 0, err
			}
			defer cl.Close()
			for range min(perStream, watchers-i) {
				ch := cl.Watch(ctx, key, clientv3.WithCreatedNotify())
				created.Add(1)
				wg.Go(func() {
					r, ok := <-ch
					created.Done()
					if !ok || r.Err() != nil {
						return
					}
					for r := range ch {
						now := time.Now().UnixNano()
						for _, e := range r.Events {
							at, err := strconv.ParseInt(string(e.Kv.Value), 10, 64)
							if err != nil {
								continue
							}
							mu.Lock()
							all = append(all, time.Duration(now-at))
							mu.Unlock()
						}
					}
				})
			}
		}
	}
	created.Wait()
	lead, err := c.leader(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < long; n++ {
		<-tick.C
		if _, err := c.clients[lead].Put(ctx, key, strconv.FormatInt(time.Now().UnixNano(), 10)); err != nil {
			return 0, err
		}
	}
	for range 100 { // the last events are on their way
		mu.Lock()
		arrived := len(all)
		mu.Unlock()
		if arrived == n*watchers {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	cancel()
	wg.Wait()
	if len(all) != n*watchers {
		return 0, fmt.Errorf("%s: %d events arrived, of %d", c.name, len(all), n*watchers)
	}
	return quantile(all, 0.99), nil
}

// keepAlives renews leases at a rate for a time, over all members, and returns the processor time of the members a second, and the rate that came about.
func (c *storeCluster) keepAlives(ctx context.Context, leases, rate int, long time.Duration) (cpu float64, got float64, err error) {
	ids := make([]int64, leases)
	var wg sync.WaitGroup
	errs := make(chan error, leases)
	const granters = 50
	for g := range granters {
		wg.Go(func() {
			for i := g; i < leases; i += granters {
				l, err := c.clients[i%storeMembers].Grant(ctx, 600)
				if err != nil {
					errs <- err
					return
				}
				ids[i] = int64(l.ID)
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return 0, 0, err
	default:
	}
	const streams = 12
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var answers atomic.Int64
	before, err := c.cpu()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	for s := range streams {
		stream, err := pb.NewLeaseClient(c.clients[s%storeMembers].ActiveConnection()).LeaseKeepAlive(ctx)
		if err != nil {
			return 0, 0, err
		}
		wg.Go(func() {
			for {
				r, err := stream.Recv()
				if err != nil {
					return
				}
				if r.TTL > 0 {
					answers.Add(1)
				}
			}
		})
		wg.Go(func() {
			sent := 0
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for time.Since(began) < long {
				<-tick.C
				for due := int(time.Since(began).Seconds() * float64(rate) / streams); sent < due; sent++ {
					id := ids[(s+sent*streams)%leases]
					if stream.Send(&pb.LeaseKeepAliveRequest{ID: id}) != nil {
						return
					}
				}
			}
		})
	}
	time.Sleep(long)
	took := time.Since(began)
	after, err := c.cpu()
	n := answers.Load()
	cancel()
	wg.Wait()
	return (after - before).Seconds() / took.Seconds(), float64(n) / took.Seconds(), err
}

// leaderKilled kills the leader and returns the time to the first put that succeeds, through whichever other member.
func (c *storeCluster) leaderKilled(ctx context.Context) (time.Duration, error) {
	lead, err := c.leader(ctx)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	first := make(chan time.Duration, storeMembers)
	c.members[lead].cmd.Process.Signal(syscall.SIGKILL)
	began := time.Now()
	for i := range c.members {
		if i == lead {
			continue
		}
		go func() {
			for ctx.Err() == nil {
				one, done := context.WithTimeout(ctx, 500*time.Millisecond)
				_, err := c.clients[i].Put(one, "/bench/first", "x")
				done()
				if err == nil {
					first <- time.Since(began)
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		}()
	}
	c.members[lead].end(syscall.SIGKILL)
	select {
	case d := <-first:
		if err := c.start(); err != nil {
			return 0, err
		}
		return d, c.serves(ctx)
	case <-ctx.Done():
		return 0, fmt.Errorf("%s: no put after the leader's death", c.name)
	}
}

// restart stops all members and returns the time from their start until all of them answer.
func (c *storeCluster) restart(ctx context.Context) (time.Duration, error) {
	c.stop()
	began := time.Now()
	if err := c.start(); err != nil {
		return 0, err
	}
	err := c.serves(ctx)
	return time.Since(began), err
}

// fill writes a number of keys once.
func (c *storeCluster) fill(ctx context.Context, keys int) error {
	lead, err := c.leader(ctx)
	if err != nil {
		return err
	}
	var next atomic.Int64
	value := storeValue()
	errs := make(chan error, 100)
	for range 100 {
		go func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= keys {
					errs <- nil
					return
				}
				if _, err := c.clients[lead].Put(ctx, fmt.Sprintf("/fill/%08d", i), value); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	for range 100 {
		err = errors.Join(err, <-errs)
	}
	return err
}

// compact drops all history.
func (c *storeCluster) compact(ctx context.Context) error {
	r, err := c.clients[0].Get(ctx, "health")
	if err != nil {
		return err
	}
	_, err = c.clients[0].Compact(ctx, r.Header.Revision, clientv3.WithCompactPhysical())
	return err
}

// restartOne stops a follower and returns the time from its start until it answers.
func (c *storeCluster) restartOne(ctx context.Context) (time.Duration, error) {
	lead, err := c.leader(ctx)
	if err != nil {
		return 0, err
	}
	c.members[(lead+1)%storeMembers].end(syscall.SIGTERM)
	began := time.Now()
	if err := c.start(); err != nil {
		return 0, err
	}
	err = c.serves(ctx)
	return time.Since(began), err
}
