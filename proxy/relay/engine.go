package relay

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Options configure an Engine.
type Options struct {
	Loops  int           // 0: one for each processor that the program may use
	Linger time.Duration // for a client to close after its server has, without a byte passing; 0: 1m
	Part   time.Duration // for a client to take its last message; 0: 1s
	Dead   time.Duration // of silence from a peer that owes an acknowledgement, after which it is lost; 0: 30s
	Sweep  time.Duration // between two looks for such peers; 0: 5s
	Settle func(fd int)  // called once for each socket that lives to see one or two sweeps, for what short sessions need not pay; nil: nothing
}

// Cause is how a flow came to its end.
type Cause int

// The causes. "Lost" is an error of the connection: a reset, or a peer that the kernel gave up.
const (
	ClientClosed Cause = iota
	ServerClosed
	ClientLost
	ServerLost
	Ended // by Flow.End
)

// Owner is told what happens to its flow. All calls come from the flow's loop and hold up every flow on it: they must be short.
type Owner interface {
	// Seen is called with bytes from the server before they are passed to the client.
	Seen(p []byte)
	// Unseen is called when bytes from the server begin to pass without Seen.
	Unseen()
	// Parting returns the last message for a client whose flow was ended between two writes, nil for none.
	Parting() []byte
	// Silent is called once, when no byte passes any more and the server's connection is about to be closed.
	Silent(Cause)
	// Closed is called last, when both sockets are closed.
	Closed()
}

// Engine runs flows on its loops.
type Engine struct {
	opts         Options
	linger, dead atomic.Int64 // durations
	loops        []*loop
	next         atomic.Uint32
	done         sync.WaitGroup
}

// New starts the loops.
func New(o Options) (*Engine, error) {
	o.Loops = cmp.Or(o.Loops, runtime.GOMAXPROCS(0))
	o.Linger, o.Part = cmp.Or(o.Linger, time.Minute), cmp.Or(o.Part, time.Second)
	o.Dead, o.Sweep = cmp.Or(o.Dead, 30*time.Second), cmp.Or(o.Sweep, 5*time.Second)
	e := &Engine{opts: o}
	e.SetTimes(o.Linger, o.Dead)
	for range o.Loops {
		l, err := newLoop(e)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("relay: start a loop: %w", err), e.Close())
		}
		e.loops = append(e.loops, l)
		e.done.Go(l.run)
	}
	return e, nil
}

// SetTimes replaces the options Linger and Dead, also for flows that run. Neither may be zero.
func (e *Engine) SetTimes(linger, dead time.Duration) {
	e.linger.Store(int64(linger))
	e.dead.Store(int64(dead))
}

// Start makes f pass bytes between two connections of one loop (see Engine.Conn). The engine owns the sockets from now on. It returns
// net.ErrClosed, and has closed both, when one of them was closed.
func (e *Engine) Start(f *Flow, owner Owner, client, server *Conn) error {
	f.owner, f.loop = owner, client.loop
	f.client, f.server = end{flow: f, fd: client.take(), writable: true}, end{flow: f, fd: server.take(), writable: true}
	if f.client.fd < 0 || f.server.fd < 0 {
		for _, fd := range []int{f.client.fd, f.server.fd} {
			if fd >= 0 {
				_ = closeSocket(fd)
			}
		}
		return net.ErrClosed
	}
	f.client.watched, f.server.watched = client.watched, server.watched
	f.up.src, f.up.dst = &f.client, &f.server
	f.down.src, f.down.dst = &f.server, &f.client
	orders := []order{{f, orderStart}}
	if f.doomed {
		orders = append(orders, order{f, orderEnd})
	}
	f.loop.post(orders...)
	return nil
}

// Close stops the loops. Flows that still run are dropped without a word; end them first.
func (e *Engine) Close() error {
	var errs []error
	for _, l := range e.loops {
		l.post(order{nil, orderStop})
	}
	e.done.Wait()
	for _, l := range e.loops {
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}
