package relay

import (
	"time"

	"golang.org/x/sys/unix"
)

// A peer that is gone without a word is noticed by keep-alive only while nothing is on its way to it. For bytes on their way Linux
// has TCP_USER_TIMEOUT, but that also ends a connection whose peer is alive and merely does not read (its window is closed,
// and it says so to every probe; tcp_probe_timer in net/ipv4/tcp_timer.c): a paused COPY, a statement that waits for a lock.
// So the loops look themselves, every few seconds, at the ends that were written to: what counts is how long nothing at all has been heard.

// What the first look at a socket sets up (Options.Settle) is spread: a round takes Options.Sweep, in shares of so many ends, and each round settles every second
// socket. Keep-alive needs it. The kernel rounds a timer of some seconds to a quarter of one or more (kernel/time/timer.c), and sends the
// probes of all that run out together in one go, before any is answered. What is more than 1000 packets then (net.core.netdev_max_backlog), a loopback or
// veth device drops without a word: ten thousand sessions of one moment would lose probes together, until some have none left.
const (
	sweepShare   = 256
	settleRounds = 2
)

// armSweep makes the loop look at a share soon; once there are no flows it stops by itself.
func (l *loop) armSweep() {
	if !l.armed {
		l.armed = true
		shares := 1 + len(l.ends)/sweepShare
		l.sweepTimer = time.AfterFunc(l.e.opts.Sweep/time.Duration(shares), func() { l.post(order{nil, orderSweep}) })
	}
}

// sweep looks at the next share.
func (l *loop) sweep() {
	l.armed = false
	if l.flows == 0 {
		return
	}
	if l.swept >= len(l.ends) {
		l.swept = 0
		l.round++
	}
	share := l.ends[l.swept:min(l.swept+sweepShare, len(l.ends))]
	l.swept += len(share)
	for _, e := range share {
		if e != nil {
			e.check()
		}
	}
	l.armSweep()
}

// check ends the flow if e's peer owes an answer and nothing has been heard from it for too long. It takes two sweeps in a row,
// since the silence before the bytes were sent means nothing.
func (e *end) check() {
	f := e.flow
	if !e.settled && (e.fd+f.loop.round)%settleRounds == 0 {
		e.settled = true
		if settle := f.loop.e.opts.Settle; settle != nil {
			settle(e.fd)
		}
	}
	sent, lost := &f.down, ClientLost
	if e == &f.server {
		sent, lost = &f.up, ServerLost
	}
	now := sent.bytes.Load()
	moved := now != e.counted
	e.counted = now
	if f.phase != passing || !moved && !e.owing {
		return
	}
	d := debtOf(e.fd)
	if d.mute && e.mute && d.silence >= time.Duration(f.loop.e.dead.Load()) {
		f.finish(lost)
		return
	}
	e.owing, e.mute = d.owing, d.mute
}

// debt is what a TCP peer has not acknowledged.
type debt struct {
	owing   bool          // something has been sent, or waits in the kernel to be
	mute    bool          // and the peer has not answered to the last of it, or to probes of its closed window
	silence time.Duration // since anything was heard of it
}

// debtOf reads it off a socket; a UNIX socket has none.
func debtOf(fd int) debt {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return debt{}
	}
	return debt{
		owing:   info.Unacked > 0 || info.Notsent_bytes > 0,
		mute:    info.Unacked > 0 || info.Probes > 1, // one probe may go unanswered: the peer limits its answers to two a second
		silence: time.Duration(info.Last_ack_recv) * time.Millisecond,
	}
}
