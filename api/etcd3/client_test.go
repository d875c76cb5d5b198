package etcd3_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// etcd's own Go client: transactions, leases that it keeps alive, watches that it resumes, recipes.
func TestGoClient(t *testing.T) {
	f := start(t)
	c, ctx := f.client(), f.ctx()

	txn, err := c.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision("k"), "=", 0)).Then(clientv3.OpPut("k", "1")).Commit()
	if err != nil || !txn.Succeeded {
		t.Fatalf("txn: %v, %v", txn, err)
	}
	events := c.Watch(clientv3.WithRequireLeader(ctx), "k", clientv3.WithRev(txn.Header.Revision), clientv3.WithCreatedNotify())
	if r := <-events; !r.Created {
		t.Errorf("want created, got %v", r)
	}
	if r := <-events; len(r.Events) != 1 || string(r.Events[0].Kv.Value) != "1" {
		t.Errorf("want the put, got %v", r)
	}
	l, err := c.Grant(ctx, 60)
	if err != nil {
		t.Fatal(err)
	}
	alive, err := c.KeepAlive(ctx, l.ID)
	if err != nil {
		t.Fatal(err)
	}
	if r := <-alive; r.TTL != 60 {
		t.Errorf("keep-alive: %v", r)
	}
	members, err := c.MemberList(ctx)
	if err != nil || len(members.Members) != 1 {
		t.Errorf("members: %v, %v", members, err)
	}
}

// Many contenders for one lock, by the recipe that etcdctl and others run over the plain API: one at a time has it.
func TestLockRecipe(t *testing.T) {
	f := start(t)
	const contenders = 5
	var holders atomic.Int32
	done := make(chan error, contenders)
	for range contenders {
		c := f.client()
		go func() {
			done <- func() error {
				s, err := concurrency.NewSession(c, concurrency.WithTTL(60))
				if err != nil {
					return err
				}
				defer s.Close()
				m := concurrency.NewMutex(s, "/lock")
				if err := m.Lock(f.ctx()); err != nil {
					return err
				}
				if n := holders.Add(1); n != 1 {
					return fmt.Errorf("%d hold the lock", n)
				}
				holders.Add(-1)
				return m.Unlock(context.Background())
			}()
		}()
	}
	for range contenders {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
