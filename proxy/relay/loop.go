package relay

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	bufferSize = 16 << 10
	batch      = 128 // events taken at once
)

const interest = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

// order is what other goroutines ask of a loop.
type order struct {
	flow *Flow
	what orderKind
}

type orderKind int

const (
	orderStart orderKind = iota
	orderEnd
	orderTimer // the flow's timer has run out
	orderSweep
	orderLook
	orderStop
)

// loop serves its flows on one goroutine. All but the orders is that goroutine's own.
type loop struct {
	e     *Engine
	epoll int
	file  *os.File        // epoll, as Go's own poller knows it
	raw   syscall.RawConn // of file
	bell  int             // eventfd: rings when there is an order

	ends    []*end // by descriptor
	events  [batch]unix.EpollEvent
	scratch [bufferSize]byte
	backlog []*Flow // used up their share of a turn and have more to do
	pipes   pipes
	buffers [][]byte // free ones, for what slow receivers leave
	flows   int
	stop    bool

	sweepTimer *time.Timer
	armed      bool // a share of a sweep is due
	swept      int  // ends looked at in this round
	round      int

	asleep     atomic.Bool // the bell must be rung for an order
	mu         sync.Mutex  // guards what follows
	orders     []order
	conns      map[int]*Conn // watched, by descriptor
	coming     map[int]*Flow // openings whose clients have not been heard of, by descriptor
	young, old []*opening    // openings to look at: attended since the last look, and before it
	looking    bool          // a look is due
}

func newLoop(e *Engine) (*loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create: %w", err)
	}
	// Non-blocking, or os.NewFile would not put it under Go's poller.
	if err := unix.SetNonblock(epoll, true); err != nil {
		return nil, errors.Join(fmt.Errorf("make an epoll set pollable: %w", err), unix.Close(epoll))
	}
	l := &loop{e: e, epoll: epoll, bell: -1, conns: make(map[int]*Conn), coming: make(map[int]*Flow), file: os.NewFile(uintptr(epoll), "epoll")}
	if l.raw, err = l.file.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("watch an epoll set: %w", err), l.close())
	}
	if l.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, errors.Join(fmt.Errorf("eventfd: %w", err), l.close())
	}
	// Edge triggered, so that nobody needs to read it: each ring is an edge.
	if err = epollAdd(l.epoll, l.bell, unix.EPOLLIN|unix.EPOLLET); err != nil {
		return nil, errors.Join(fmt.Errorf("epoll_ctl: %w", err), l.close())
	}
	return l, nil
}

// close releases what newLoop opened.
func (l *loop) close() error {
	l.pipes.close()
	err := l.file.Close()
	if l.bell >= 0 {
		err = errors.Join(err, unix.Close(l.bell))
	}
	return err
}

// post gives the loop orders. They are carried out in turn, and nothing happens between those of one call.
func (l *loop) post(o ...order) {
	l.mu.Lock()
	l.orders = append(l.orders, o...)
	l.mu.Unlock()
	if l.asleep.Load() {
		ring(l.bell)
	}
}

// run is the loop. It waits without a thread, as a goroutine that reads a socket does: an epoll set can itself be polled, and what happens on it while it
// is being emptied is told as well. So a turn that took all that there was need not look again before it waits.
func (l *loop) run() {
	_ = l.raw.Read(func(uintptr) bool { // fails only when the file is closed, which is after the loop
		l.asleep.Store(false)
		for {
			l.pipes.reclaim()
			n := epollNow(l.epoll, l.events[:])
			l.turn(l.events[:n])
			switch {
			case l.stop:
				return true
			case n == batch || len(l.backlog) > 0, n > 0 && l.pipes.any():
				// There may be more. A pause of bulk is one only when nothing is there.
			case l.mayWait():
				return false
			}
		}
	})
	if l.sweepTimer != nil {
		l.sweepTimer.Stop()
	}
}

// turn deals with events and with what else there is to do.
func (l *loop) turn(events []unix.EpollEvent) {
	for _, ev := range events {
		if fd := int(ev.Fd); fd < len(l.ends) && l.ends[fd] != nil {
			l.ends[fd].happened(ev.Events)
		} else if c := l.watchedConn(fd); c != nil {
			c.happened(ev.Events)
		} else if e := l.admit(fd); e != nil {
			e.happened(ev.Events)
		}
	}
	for _, f := range l.takeBacklog() {
		f.run()
	}
	for _, o := range l.takeOrders() {
		l.carryOut(o)
	}
}

// mayWait says whether the loop may wait: orders that come from now on ring.
func (l *loop) mayWait() bool {
	l.asleep.Store(true)
	l.mu.Lock()
	waiting := len(l.orders)
	l.mu.Unlock()
	if waiting > 0 {
		l.asleep.Store(false)
		return false
	}
	l.pipes.reclaimAll()
	return true
}

func (l *loop) takeBacklog() []*Flow {
	b := l.backlog
	l.backlog = nil
	for _, f := range b {
		f.queued = false
	}
	return b
}

func (l *loop) takeOrders() []order {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.orders
	l.orders = nil
	return o
}

func (l *loop) carryOut(o order) {
	switch o.what {
	case orderStart:
		l.add(o.flow)
	case orderEnd:
		l.admit(o.flow.client.fd)
		o.flow.finish(Ended)
	case orderTimer:
		o.flow.timeUp()
	case orderSweep:
		l.sweep()
	case orderLook:
		l.look()
	case orderStop:
		l.stop = true
	}
}

// add registers a flow's sockets. What has happened on them before is reported at once.
func (l *loop) add(f *Flow) {
	l.flows++
	l.armSweep()
	for _, e := range []*end{&f.client, &f.server} {
		l.place(e)
	}
	for _, e := range []*end{&f.client, &f.server} {
		if e.watched {
			// What has been reported went to the Conn, or to nobody: the end, too, may be there already, behind bytes.
			e.readable, e.writable, e.ending = true, true, true
			continue
		}
		if err := l.register(e.fd); err != nil {
			f.finish(ServerLost) // no memory for another watch: this flow cannot be served
			return
		}
	}
	if !f.doomed {
		f.run()
	}
}

// place makes e the one that hears of what happens on its socket.
func (l *loop) place(e *end) {
	l.ends = slices.Grow(l.ends, max(0, e.fd+1-len(l.ends)))
	l.ends = l.ends[:max(len(l.ends), e.fd+1)]
	l.ends[e.fd] = e
}

func (l *loop) register(fd int) error { return epollAdd(l.epoll, fd, interest) }

// watch makes the loop tell c what happens, beginning with what has happened. Called by any goroutine.
func (l *loop) watch(c *Conn) error {
	l.mu.Lock()
	l.conns[c.fd] = c
	l.mu.Unlock()
	if err := l.register(c.fd); err != nil {
		l.unwatch(c.fd)
		return os.NewSyscallError("epoll_ctl", err)
	}
	return nil
}

// unwatch forgets a Conn. Its socket stays in the epoll set, for its flow or until it is closed.
func (l *loop) unwatch(fd int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, fd)
}

func (l *loop) watchedConn(fd int) *Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conns[fd]
}

// drop closes a socket. Closing takes it out of the epoll set.
func (l *loop) drop(e *end) {
	if e.fd < 0 {
		return
	}
	if e.fd < len(l.ends) {
		l.ends[e.fd] = nil
	}
	_ = closeSocket(e.fd)
	e.fd = -1
}

// takeBuffer is room for what a receiver does not take yet.
func (l *loop) takeBuffer() []byte {
	if n := len(l.buffers); n > 0 {
		b := l.buffers[n-1]
		l.buffers = slices.Delete(l.buffers, n-1, n)
		return b
	}
	return make([]byte, bufferSize)
}

// keptBuffers bounds the free ones.
const keptBuffers = 64

func (l *loop) giveBuffer(b []byte) {
	if len(l.buffers) < keptBuffers {
		l.buffers = append(l.buffers, b[:bufferSize])
	}
}
