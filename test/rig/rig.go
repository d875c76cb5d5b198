package rig

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"quorate/internal/boottime"
	"quorate/test/check"
	"quorate/test/check/writer"
	"quorate/test/lab"
)

// Cluster is what the rig needs of the cluster under test.
type Cluster interface {
	// Target is the connection string for clients, to be dialled from Client.
	Target() string
	// Direct and Local are connection strings to one host's PostgreSQL past all routers, over TCP and over its UNIX socket.
	Direct(*lab.Host) string
	Local(*lab.Host) string
	// Primary is the host that the cluster says leads; nil when it says none does.
	Primary(context.Context) *lab.Host
	// Following says whether the host is a replica that streams from the present primary.
	Following(context.Context, *lab.Host) bool
	// AwaitHealthy waits until one host leads, all others follow, and clients can write.
	AwaitHealthy(context.Context) error
}

// The writers behind the router.
const (
	Kept  = "router-kept"
	Fresh = "router-fresh"
)

// Options describe a rig.
type Options struct {
	Cluster Cluster
	Client  *lab.Host   // where the applications live
	Hosts   []*lab.Host // where PostgreSQL runs
	Inside  bool        // writers inside every database host too; off where only the outage is measured, since they take a share of the machine
}

// Rig is a cluster with writers on it.
type Rig struct {
	o       Options
	history check.History
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// Start makes the table and starts the writers, and returns when those behind the router are acknowledged.
func Start(ctx context.Context, o Options) (*Rig, error) {
	if err := writer.Setup(ctx, o.Cluster.Target(), o.Client.Dial); err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	r := &Rig{o: o}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r.cancel = cancel
	for _, wo := range r.writers() {
		w, err := writer.New(wo)
		if err != nil {
			r.Stop()
			return nil, err
		}
		r.running.Go(func() { w.Run(run) })
	}
	if err := r.AwaitCommits(ctx, boottime.Now()); err != nil {
		r.Stop()
		return nil, err
	}
	return r, nil
}

// patient outlasts every failover: a session that is given up early proves nothing about its server.
const patient = 2 * time.Minute

func (r *Rig) writers() []writer.Options {
	target := r.o.Cluster.Target()
	list := []writer.Options{
		{Name: Kept, Target: target, Dial: r.o.Client.Dial},
		{Name: Fresh, Target: target, Dial: r.o.Client.Dial, Mode: writer.Fresh},
	}
	if r.o.Inside {
		// What is judged here is whose acknowledgement came when, not the length of the outage, and a new session every 10 ms takes a small machine whole: a
		// backend's birth is the dearest thing that a client can ask for, and what the cluster has to do then waits for its turn.
		list[0].Every, list[1].Every = 20*time.Millisecond, 200*time.Millisecond
		for _, h := range r.o.Hosts {
			node, socket, tcp := h.Addr(5432), r.o.Cluster.Local(h), r.o.Cluster.Direct(h)
			const slow, slower = 100 * time.Millisecond, 500 * time.Millisecond
			list = append(list,
				writer.Options{Name: h.Name + "-socket-kept", Target: socket, Node: node, Every: slow, Timeout: patient},
				writer.Options{Name: h.Name + "-socket-flight", Target: socket, Node: node, Every: slow, Timeout: patient, Hold: time.Second},
				writer.Options{Name: h.Name + "-tcp-kept", Target: tcp, Node: node, Dial: h.Dial, Every: slow, Timeout: patient},
				writer.Options{Name: h.Name + "-tcp-fresh", Target: tcp, Node: node, Dial: h.Dial, Every: slower, Mode: writer.Fresh},
			)
		}
	}
	for i := range list {
		list[i].Record = r.history.Record
	}
	return list
}

// AwaitCommits waits until both writers behind the router have had a commit acknowledged that they began after the given instant.
func (r *Rig) AwaitCommits(ctx context.Context, after boottime.Instant) error {
	return await(ctx, "commits through the router", func() bool {
		seen := map[string]bool{}
		for _, op := range r.history.Ops() {
			if op.Outcome == check.Acked && op.Start.After(after) {
				seen[op.Writer] = true
			}
		}
		return seen[Kept] && seen[Fresh]
	})
}

// AwaitAcks waits until each of the two writers behind the router has been acknowledged so many times.
func (r *Rig) AwaitAcks(ctx context.Context, n int) error {
	return await(ctx, fmt.Sprintf("%d commits each", n), func() bool {
		acks := map[string]int{}
		for _, op := range r.history.Ops() {
			if op.Outcome == check.Acked {
				acks[op.Writer]++
			}
		}
		return acks[Kept] >= n && acks[Fresh] >= n
	})
}

// AwaitAnswers waits until every writer inside the hosts has had some answer to an attempt that it began after the instant, be it an
// acknowledgement or a refusal, so that a term's successor cannot be judged before its predecessor was asked.
func (r *Rig) AwaitAnswers(ctx context.Context, after boottime.Instant) error {
	return await(ctx, "answers to the writers inside the hosts", func() bool {
		answered := map[string]bool{}
		for _, op := range r.history.Ops() {
			if !op.End.IsZero() && op.Start.After(after) {
				answered[op.Writer] = true
			}
		}
		for _, w := range r.writers() {
			if !answered[w.Name] {
				return false
			}
		}
		return true
	})
}

// AwaitTerms waits until commits of n different terms were acknowledged in all.
func (r *Rig) AwaitTerms(ctx context.Context, n int) error {
	return await(ctx, fmt.Sprintf("commits of %d terms", n), func() bool { return len(check.Terms(r.history.Ops())) >= n })
}

// AckedSessions counts, over the writers that keep their session and reach the given host's PostgreSQL or come through the router, how many sessions the one
// that needed most had commits acknowledged in: 1 when nobody was disturbed.
func (r *Rig) AckedSessions(host *lab.Host) int {
	sessions := map[string]map[int]bool{}
	most := 0
	for _, op := range r.history.Ops() {
		kept := op.Writer == Kept || op.Writer == host.Name+"-socket-kept" || op.Writer == host.Name+"-tcp-kept"
		if !kept || op.Outcome != check.Acked {
			continue
		}
		if sessions[op.Writer] == nil {
			sessions[op.Writer] = map[int]bool{}
		}
		sessions[op.Writer][op.Session] = true
		most = max(most, len(sessions[op.Writer]))
	}
	return most
}

// Stop ends the writers; an attempt under way counts as unknown.
func (r *Rig) Stop() {
	r.cancel()
	r.running.Wait()
}

// Ops is the history so far.
func (r *Rig) Ops() []check.Op { return r.history.Ops() }

// Outage is the longer of the outages of the two writers behind the router around a fault at the given instant.
func (r *Rig) Outage(fault boottime.Instant) check.Outage {
	ops := r.history.Ops()
	kept, fresh := check.MeasureOutage(ops, Kept, fault), check.MeasureOutage(ops, Fresh, fault)
	if fresh.Duration > kept.Duration {
		return fresh
	}
	return kept
}

// Verdict is what the checkers say at the end.
type Verdict struct {
	IDs        check.IDs
	Terms      []check.Term
	Violations []check.Violation
}

// Err is the verdict as one error; up to mayLose acknowledged commits may be lost.
func (v Verdict) Err(mayLose int) error {
	errs := []error{v.IDs.Err(mayLose)}
	for _, violation := range v.Violations {
		errs = append(errs, violation)
	}
	return errors.Join(errs...)
}

// Judge stops the writers, reads what is there from the primary, and judges.
func (r *Rig) Judge(ctx context.Context) (Verdict, error) {
	r.Stop()
	found, err := writer.ReadIDs(ctx, r.o.Cluster.Target(), r.o.Client.Dial)
	if err != nil {
		return Verdict{}, fmt.Errorf("rig: final read: %w", err)
	}
	ops := r.history.Ops()
	return Verdict{IDs: check.CheckIDs(ops, found), Terms: check.Terms(ops), Violations: check.CheckTerms(ops)}, nil
}

func await(ctx context.Context, what string, cond func() bool) error {
	for !cond() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("rig: waiting for %s: %w", what, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}
