package relay

import (
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Flow is one session's pass-through. Its zero value is ready for Engine.Start.
type Flow struct {
	loop   *loop
	owner  Owner
	phase  phase
	queued bool     // in the loop's backlog
	doomed bool     // ended before it started
	start  *opening // while it is being opened by Engine.Open

	client, server end
	up, down       half // from the client, to the client
	timer          *time.Timer
	mark           int64 // up's count when timer was set: the lingering client was not idle if it has moved
}

type phase uint8

const (
	passing  phase = iota
	parting        // silent; the client is reading its last message
	closed         //
	greeting       // being opened: the client is to speak
	reaching       // being opened: connecting to the server
	awaiting       // being opened: the server is to answer
)

// end is one socket of a flow. readable and writable are what epoll has reported and no call has disproved.
type end struct {
	flow     *Flow
	fd       int
	readable bool
	writable bool
	watched  bool // in the epoll set before the flow started
	ending   bool // the peer has sent its end or the connection failed, for all that is known: only a read tells
	ended    bool // the peer has sent its end: what can be read lies before it, and a read that gets less than it could has got the last

	settled bool  // Options.Settle has had it
	owing   bool  // had not acknowledged everything at the last sweep
	mute    bool  // had not answered to it
	counted int64 // bytes that it had been sent by then
}

// half is one direction of a flow.
type half struct {
	src, dst *end
	rest     []byte // read and not yet taken by dst; a buffer's tail
	buffer   []byte // that rest lies in
	pipe     *pipe  // while the direction carries bulk
	full     int    // reads in a row that filled the buffer
	noSplice bool   // the kernel cannot, for these sockets
	over     bool   // src has ended
	done     bool   // and dst has been told
	bytes    atomic.Int64
}

// Counts are the bytes that were passed from the client and to it.
func (f *Flow) Counts() (up, down int64) { return f.up.bytes.Load(), f.down.bytes.Load() }

// Add counts bytes that the owner passed before the flow started.
func (f *Flow) Add(up, down int64) {
	f.up.bytes.Add(up)
	f.down.bytes.Add(down)
}

// End stops the flow, which is silent soon after. It does not block. Called before Start (and not at the same time) it makes the
// flow end as it starts: not a byte is passed.
func (f *Flow) End() {
	if f.loop == nil {
		f.doomed = true
		return
	}
	f.loop.post(order{f, orderEnd})
}

// happened notes what epoll reports and lets the flow act on it.
func (e *end) happened(events uint32) {
	const broken = unix.EPOLLERR | unix.EPOLLHUP
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|broken) != 0 {
		e.readable = true
	}
	if events&(unix.EPOLLRDHUP|broken) != 0 {
		e.ending = true
	}
	e.ended = events&(unix.EPOLLRDHUP|unix.EPOLLERR) == unix.EPOLLRDHUP
	if events&(unix.EPOLLOUT|broken) != 0 {
		e.writable = true
	}
	e.flow.run()
}

// run does all that can be done without waiting, up to the flow's share of a turn.
func (f *Flow) run() {
	switch f.phase {
	case passing:
		f.pass()
	case parting:
		f.discard()
	case greeting:
		f.greet()
	case reaching:
		f.reach()
	case awaiting:
		f.await()
	}
}

// pass moves bytes both ways. The server's come first: of two bad ends at once the server's last words are the better one.
func (f *Flow) pass() {
	down := f.down.pass(f)
	if down == dstLost {
		f.finish(ClientLost)
		return
	}
	up := f.up.pass(f)
	switch {
	case up == srcLost:
		f.finish(ClientLost)
	case down == srcLost:
		f.finish(ServerLost)
	case f.down.done && f.up.done:
		f.finish(f.whoEnded())
	default:
		if f.down.done && f.timer == nil {
			f.lingering()
		}
		if (down == unfinished || up == unfinished) && !f.queued {
			f.queued = true
			f.loop.backlog = append(f.loop.backlog, f)
		}
	}
}

// whoEnded is the side whose end came first, as far as it can be told.
func (f *Flow) whoEnded() Cause {
	if f.timer != nil { // the client lingered
		return ServerClosed
	}
	return ClientClosed
}

// lingering gives the client of a server that is done a time to be done too.
func (f *Flow) lingering() {
	f.mark = f.up.bytes.Load()
	f.timer = time.AfterFunc(time.Duration(f.loop.e.linger.Load()), func() { f.loop.post(order{f, orderTimer}) })
}

// timeUp is called when the timer has run out.
func (f *Flow) timeUp() {
	switch {
	case f.phase == parting:
		f.close(true)
	case f.phase == passing && f.up.bytes.Load() != f.mark:
		f.lingering()
	case f.phase == passing:
		f.finish(ServerClosed)
	}
}

// finish makes the flow silent, and closes it as the cause calls for.
func (f *Flow) finish(why Cause) {
	if f.start != nil {
		f.divert(nil)
	}
	if f.phase != passing {
		return
	}
	clean := len(f.down.rest) == 0 && (f.down.pipe == nil || f.down.pipe.held == 0) && !f.down.over
	f.up.release(f.loop)
	f.down.release(f.loop)
	f.phase = closed
	if f.timer != nil {
		f.timer.Stop()
	}
	f.loop.drop(&f.server)
	f.owner.Silent(why)
	if why == Ended && clean && f.part() {
		return
	}
	f.close(why != ClientClosed && why != ServerClosed)
}

// part sends the client its last message and waits until it has been read, for closing with bytes of the client unread would
// send RST, which could overtake the message.
func (f *Flow) part() bool {
	message := f.owner.Parting()
	if len(message) == 0 {
		return false
	}
	if n, err := send(f.client.fd, message); err != nil || n < len(message) {
		return false
	}
	if err := shutdown(f.client.fd, unix.SHUT_WR); err != nil {
		return false
	}
	f.phase = parting
	f.timer = time.AfterFunc(f.loop.e.opts.Part, func() { f.loop.post(order{f, orderTimer}) })
	f.client.readable = true // there may be bytes that nobody has read yet
	f.discard()
	return true
}

// discard reads what a client that has been told goodbye still sends.
func (f *Flow) discard() {
	for f.phase == parting && f.client.readable {
		n, err := receive(f.client.fd, f.loop.scratch[:])
		switch {
		case errors.Is(err, unix.EAGAIN):
			f.client.readable = false
		case err != nil || n == 0:
			f.close(false)
		}
	}
}

// close ends the client's connection: by RST when it was not the peers who ended the flow in order.
func (f *Flow) close(reset bool) {
	f.phase = closed
	if f.timer != nil {
		f.timer.Stop()
	}
	if reset && f.client.fd >= 0 {
		_ = unix.SetsockoptLinger(f.client.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	f.loop.drop(&f.client)
	f.loop.flows--
	f.owner.Closed()
}
