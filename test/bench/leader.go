//go:build bench

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"quorate/test/lab"
)

// storePort is where every store of a cluster speaks etcd's API.
const storePort = 2379

// storeClient speaks to the store of one host, from where the clients live.
func (c *cluster) storeClient(h *lab.Host) (*clientv3.Client, error) {
	dial := func(ctx context.Context, address string) (net.Conn, error) { return c.client.Dial(ctx, "tcp", address) }
	return clientv3.New(clientv3.Config{
		Endpoints: []string{"http://" + h.Addr(storePort)}, DialTimeout: time.Second,
		DialOptions: []grpc.DialOption{grpc.WithContextDialer(dial)},
	})
}

// storeMembers asks every host who it is and whom it takes for the leader. Hosts that do not answer are left out.
func (c *cluster) storeMembers(ctx context.Context) (ids map[*lab.Host]uint64, leader *lab.Host) {
	ids = map[*lab.Host]uint64{}
	votes := map[uint64]int{}
	for _, h := range c.hosts {
		if status, err := c.storeStatus(ctx, h); err == nil {
			ids[h] = status.Header.MemberId
			votes[status.Leader]++
		}
	}
	for h, id := range ids {
		if votes[id] > len(c.hosts)/2 {
			leader = h
		}
	}
	return ids, leader
}

func (c *cluster) storeStatus(ctx context.Context, h *lab.Host) (*clientv3.StatusResponse, error) {
	client, err := c.storeClient(h)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return client.Status(ctx, "http://"+h.Addr(storePort))
}

// place moves the store's leader until it is on the primary's host, or until it is not. The primary stays where it is.
func (c *cluster) place(ctx context.Context, primary *lab.Host, together bool) error {
	var last error
	err := poll(ctx, "the store's leader to move", func() bool {
		ids, leader := c.storeMembers(ctx)
		if leader == nil {
			last = errors.New("the store has no leader")
			return false
		}
		if (leader == primary) == together {
			return true
		}
		to := primary
		for _, h := range c.hosts {
			if !together && h != primary {
				to = h
			}
		}
		last = c.moveLeader(ctx, leader, ids[to])
		return false
	})
	return errors.Join(err, lastOf(err, last))
}

// lastOf keeps the reason of a wait that failed.
func lastOf(err, last error) error {
	if err == nil || last == nil {
		return nil
	}
	return fmt.Errorf("last: %w", last)
}

func (c *cluster) moveLeader(ctx context.Context, from *lab.Host, to uint64) error {
	client, err := c.storeClient(from)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err = client.MoveLeader(ctx, to)
	return err
}
