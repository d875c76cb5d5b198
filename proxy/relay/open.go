package relay

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Opener opens a flow that begins with its client alone (Engine.Open): it reads what the client says first, names a server for it, and judges what
// that answers. All calls come from the flow's loop and must be short. What is unusual, or takes longer than a moment, is for a goroutine
// that Diverted starts.
//
//	          First           connected            Answer: Pass
//	greeting -------> reaching ---------> awaiting -------------> passing
//	   \________________\____________________\_______ Diverted    \_______ the Owner's
type Opener interface {
	// First is called with what the client has sent. It returns what the server is to get for it, and that server's address, which counts only for
	// the first call. Without ok the flow is diverted.
	First(p []byte) (to netip.AddrPort, packet []byte, ok bool)
	// Reached is called when the server is connected and has been sent the packet: Await, Pass or Refuse.
	Reached() Step
	// Answer is called with all that the server has answered to the packet so far: any step. What is passed on is the Owner's to see after that.
	Answer(p []byte) Step
	// Diverted is the end of the opening: the client is the goroutines' again, and has not had a byte that this opener did not let pass. The server's
	// connection, if there was one, is closed, and err is why: what the server did, or ErrSlow, or ErrHangup; nil if it was this opener, or
	// Flow.End. Neither Silent nor Closed follows.
	Diverted(err error)
}

// Step is what an opening is to do next.
type Step int

// The steps.
const (
	Await  Step = iota // the server's answer, or more of it
	Ask                // pass the answer; the client's next bytes are for First again, and for the same server
	Pass               // pass the answer, and from now on everything
	Refuse             // divert; the client does not get the answer
)

// Errors of an opening that Diverted gets.
var (
	// ErrSlow says that nothing has failed, but somebody lets the flow wait for longer than a loop watches over.
	ErrSlow = errors.New("not at once")
	// ErrHangup says that the client has closed while its server had not answered.
	ErrHangup = errors.New("the client hung up")
	// ErrStalled says that a server has begun to answer and not gone on.
	ErrStalled = errors.New("an answer without its end")
)

// moment is how long a flow may take from one phase of its opening to the next, and at most twice as long. It must exceed the way to a distant server and back.
const moment = 500 * time.Millisecond

// opening is what a flow has only until it passes. The list of those to look at holds it for longer, and empty.
type opening struct {
	flow   *Flow
	opener Opener
	conn   *Conn  // the client's; its descriptor is lent
	packet []byte // for the server
	heard  []byte // of an answer that is not all there
	left   bool   // the client has sent its end while the answer was awaited
}

func (o *opening) clear() { *o = opening{} }

// Open makes f begin with a client alone; see Opener. The engine has the socket until Diverted is called.
func (e *Engine) Open(f *Flow, owner Owner, opener Opener, client *Conn) error {
	l := client.loop
	f.owner, f.loop, f.phase = owner, l, greeting
	o := &opening{flow: f, opener: opener, conn: client}
	f.start = o
	f.client, f.server = end{flow: f, fd: client.fd, writable: true}, end{flow: f, fd: -1}
	f.up.src, f.up.dst = &f.client, &f.server
	f.down.src, f.down.dst = &f.server, &f.client
	fd := client.fd
	l.mu.Lock()
	l.coming[fd] = f // the loop need not know of the client before it speaks
	l.mu.Unlock()
	err := l.register(fd) // f is the loop's from here on
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		delete(l.coming, fd)
		return os.NewSyscallError("epoll_ctl", err)
	}
	l.attend(o)
	return nil
}

// Divert ends all openings. Those that begin later are not concerned.
func (e *Engine) Divert() {
	for _, l := range e.loops {
		l.post(order{nil, orderLook}, order{nil, orderLook})
	}
}

// attend makes the loop look at an opening after a moment; called with mu held.
func (l *loop) attend(o *opening) {
	l.young = append(l.young, o)
	if !l.looking {
		l.looking = true
		time.AfterFunc(moment, func() { l.post(order{nil, orderLook}) })
	}
}

// look diverts the openings that have not got on since the look before.
func (l *loop) look() {
	l.mu.Lock()
	old := l.old
	l.old, l.young = l.young, nil
	if l.looking = len(l.old) > 0; l.looking {
		time.AfterFunc(moment, func() { l.post(order{nil, orderLook}) })
	}
	l.mu.Unlock()
	for _, o := range old {
		if f := o.flow; f != nil {
			l.admit(f.client.fd)
			f.overdue()
		}
	}
}

// admit makes a client that has been heard of the loop's. It returns nil when there is none by that descriptor.
func (l *loop) admit(fd int) *end {
	l.mu.Lock()
	f := l.coming[fd]
	delete(l.coming, fd)
	l.mu.Unlock()
	if f == nil {
		return nil
	}
	l.flows++
	l.armSweep()
	l.place(&f.client)
	return &f.client
}

// overdue is called a moment after the flow has begun, or its client has ended.
func (f *Flow) overdue() {
	switch f.phase {
	case greeting, reaching:
		f.divert(ErrSlow)
	case awaiting:
		if len(f.start.heard) > 0 {
			f.divert(ErrStalled)
		} else if f.start.left && f.client.over() {
			f.divert(ErrHangup)
		}
	}
}

// over says whether the peer has ended and nothing else is to be read; it takes nothing.
func (e *end) over() bool {
	var one [1]byte
	n, _, err := unix.Recvfrom(e.fd, one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return n <= 0 && !again(err)
}

// greet reads what the client says first, or next.
func (f *Flow) greet() {
	if !f.client.readable {
		return
	}
	buf := f.loop.scratch[:]
	n, err := receive(f.client.fd, buf)
	switch {
	case again(err):
		f.client.readable, f.client.ending = false, false
		return
	case err != nil || n == 0:
		f.divert(nil) // whoever has it then meets the end, too
		return
	}
	f.client.readable = n == len(buf) || f.client.ending
	to, packet, ok := f.start.opener.First(buf[:n])
	if f.start.packet = packet; !ok {
		f.divert(nil)
		return
	}
	if f.server.fd < 0 {
		f.connect(to)
		return
	}
	f.phase = awaiting
	if err := f.ask(); err != nil {
		f.divert(os.NewSyscallError("write", err))
		return
	}
	f.await() // it may have ended meanwhile
}

// connect begins to connect to the server.
func (f *Flow) connect(to netip.AddrPort) {
	a, family := addressOf(to)
	fd, err := socket(family)
	if err != nil {
		f.divert(os.NewSyscallError("socket", err))
		return
	}
	noDelay(fd)
	f.phase, f.server.fd = reaching, fd
	f.loop.place(&f.server)
	if err := connect(fd, &a); err != nil && !errors.Is(err, unix.EINPROGRESS) && !errors.Is(err, unix.EINTR) {
		f.divert(os.NewSyscallError("connect", err))
		return
	}
	f.reach()
}

// reach sends the packet, and learns by that whether the server is connected: one on this host or near by often is at once.
func (f *Flow) reach() {
	err := f.ask()
	switch {
	case again(err):
		f.watchServer()
		return
	case err != nil:
		f.divert(os.NewSyscallError("connect", err))
		return
	}
	f.phase, f.server.writable = awaiting, true
	if !f.watchServer() {
		return
	}
	switch f.start.opener.Reached() {
	case Refuse:
		f.divert(nil)
		return
	case Pass:
		f.begin(nil)
	}
	f.run()
}

// watchServer puts the server's socket into the epoll set, unless it is there.
func (f *Flow) watchServer() bool {
	if f.server.watched {
		return true
	}
	if err := f.loop.register(f.server.fd); err != nil {
		f.divert(os.NewSyscallError("epoll_ctl", err))
		return false
	}
	f.server.watched = true
	return true
}

// ask sends the packet, which a new connection has room for.
func (f *Flow) ask() error {
	p := f.start.packet
	n, err := send(f.server.fd, p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if err == nil {
		f.start.packet = nil
		f.up.bytes.Add(int64(n))
	}
	return err
}

// await reads the server's answer. What the client sends meanwhile stays where it is.
func (f *Flow) await() {
	for f.phase == awaiting && f.server.readable {
		buf := f.loop.scratch[:]
		had := copy(buf, f.start.heard)
		n, err := receive(f.server.fd, buf[had:])
		switch {
		case again(err):
			f.server.readable, f.server.ending = false, false
		case err != nil:
			f.divert(os.NewSyscallError("read", err))
		case n == 0:
			f.divert(io.EOF)
		default:
			f.server.readable = had+n == len(buf) || f.server.ending
			f.answered(buf[:had+n])
		}
	}
	if f.phase == awaiting && f.client.ending && !f.start.left {
		f.start.left = true
		f.attend() // it may have closed one half only; a moment later it is taken for gone
	}
}

// attend makes the loop look at the flow after a moment.
func (f *Flow) attend() {
	f.loop.mu.Lock()
	defer f.loop.mu.Unlock()
	f.loop.attend(f.start)
}

func (f *Flow) answered(p []byte) {
	switch f.start.opener.Answer(p) {
	case Await:
		if f.start.heard == nil {
			f.attend()
		}
		f.start.heard = append([]byte(nil), p...)
	case Refuse:
		f.divert(nil)
	case Pass:
		f.begin(p)
		f.run()
	case Ask:
		f.start.heard = nil
		if n, err := send(f.client.fd, p); err != nil || n < len(p) {
			f.divert(ErrHangup)
			return
		}
		f.down.bytes.Add(int64(len(p)))
		f.phase = greeting
		f.attend()
		f.greet()
	}
}

// begin makes the flow one like any other, after its client has got p.
func (f *Flow) begin(p []byte) {
	f.start.conn.lost()
	f.start.clear()
	f.start, f.phase = nil, passing
	if len(p) == 0 {
		return
	}
	f.owner.Seen(p)
	if f.down.forward(f, p) == dstLost {
		f.finish(ClientLost)
	}
}

// divert ends the opening, and gives the client back.
func (f *Flow) divert(err error) {
	l, start := f.loop, *f.start
	f.start.clear()
	f.start, f.phase = nil, closed
	l.drop(&f.server)
	l.ends[f.client.fd] = nil
	l.flows--
	start.conn.back()
	f.client.fd = -1
	start.opener.Diverted(err)
}
