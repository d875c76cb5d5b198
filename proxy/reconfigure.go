package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"quorate/internal/boottime"
)

// change is a listener of a new configuration, before anything of it is in use.
type change struct {
	l    *listener
	now  *settings
	ln   net.Listener // opened for it; nil: the one that it has stays
	from *listener    // whose socket ln is a duplicate of; nil: nobody's
}

// Reconfigure puts other options into use; Listen, Logger and Registerer are those of New. Listeners that are new are opened, others closed,
// and changed ones go on under their new settings. Sessions stay, and so do clients that wait; a port that stays is open all the time.
// Listeners are known by their names, and one that is renamed keeps its port. Keep-alive holds for sessions to come, the other times for those
// that run too. A lower limit ends no session. When something does not work nothing has changed.
func (r *Router) Reconfigure(ctx context.Context, o Options) error {
	was := r.opts()
	o.Listen, o.Logger, o.Registerer = was.Listen, was.Logger, was.Registerer
	if err := o.validate(); err != nil {
		return fmt.Errorf("router: %w", err)
	}
	descriptors, err := descriptorLimit()
	var capacity int
	if err == nil {
		capacity, err = o.capacity(descriptors)
	}
	if err != nil {
		return fmt.Errorf("router: %w", err)
	}
	r.doors.Lock()
	defer r.doors.Unlock()
	if r.closed {
		return ErrStopped
	}
	o = o.withDefaults()
	var next []*change
	for _, lo := range o.Listeners {
		c, err := r.prepare(ctx, lo, o.Listeners)
		if err != nil {
			for _, c := range next {
				err = errors.Join(err, c.discard())
			}
			return fmt.Errorf("router: %w", err)
		}
		next = append(next, c)
	}
	r.now.Store(&o)
	r.capacity.Store(int64(capacity))
	r.engine.SetTimes(o.LingerTimeout, o.TCP.UserTimeout)
	r.apply(next)
	return nil
}

// prepare opens and reads what a listener needs. It is called with doors held, and so is what follows: nobody else changes r.listeners then.
func (r *Router) prepare(ctx context.Context, o ListenerOptions, all []ListenerOptions) (*change, error) {
	c := &change{l: r.named(o.Name)}
	if c.l == nil {
		c.l = newListener(r, o)
	}
	was := c.l.now.Load()
	var err error
	if c.now, err = c.l.prepare(o, was); err != nil {
		return nil, err
	}
	if c.l.ln != nil && was.opts.Listen == o.Listen {
		return c, nil
	}
	if c.from = r.leaver(o.Listen, all); c.from != nil {
		c.ln, err = r.duplicate(c.from.ln)
	} else {
		c.ln, err = r.listen(ctx, &o)
	}
	return c, err
}

// named is the listener of a name, also one that was removed: its counters go on.
func (r *Router) named(name string) *listener {
	i := slices.IndexFunc(r.listeners, func(l *listener) bool { return l.opts().Name == name })
	if i < 0 {
		return nil
	}
	return r.listeners[i]
}

// leaver is the listener that has an address and that the new configuration gives another one, or none.
func (r *Router) leaver(address string, all []ListenerOptions) *listener {
	for _, l := range r.listeners {
		if had := l.opts(); l.ln != nil && had.Listen == address {
			if !slices.ContainsFunc(all, func(o ListenerOptions) bool { return o.Name == had.Name && o.Listen == address }) {
				return l
			}
		}
	}
	return nil
}

// duplicate makes another listener of a socket.
func (r *Router) duplicate(ln net.Listener) (net.Listener, error) {
	f, err := socketOf(ln)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if ln, err = net.FileListener(f); err != nil {
		return nil, err
	}
	return r.door(ln)
}

// socketOf is another descriptor of a listener's socket. The one that net's File gives makes the socket block as soon as somebody asks for its
// number, as net.FileListener and exec do: for every process that has it, so that whoever accepts just then waits in the kernel for the next
// client, and whoever closes the listener waits for him.
func socketOf(ln net.Listener) (*os.File, error) {
	conn, ok := ln.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("a listener of type %T has no socket that could be passed on", ln)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var dup error
	if err := errors.Join(raw.Control(func(old uintptr) { fd, dup = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }), dup); err != nil {
		return nil, fmt.Errorf("another descriptor of %s: %w", ln.Addr(), err)
	}
	return os.NewFile(uintptr(fd), ln.Addr().String()), nil
}

// discard gives up a socket that does not come into use.
func (c *change) discard() error {
	if c.ln == nil {
		return nil
	}
	return c.ln.Close() // a duplicate leaves the path of a UNIX socket to its first owner
}

// apply puts what was prepared into use. It cannot fail.
func (r *Router) apply(next []*change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range next {
		if c.from != nil {
			keepPath(c.from.ln, true)
			keepPath(c.ln, false)
		}
	}
	for _, l := range r.listeners {
		if i := slices.IndexFunc(next, func(c *change) bool { return c.l == l }); i < 0 || next[i].ln != nil {
			if l.removed = i < 0; l.ln != nil {
				_ = l.ln.Close() // the descriptor is gone either way
				r.log.Info("not listening any more", "listener", l.opts().Name, "address", l.ln.Addr().String())
			}
			l.ln = nil
		}
	}
	for _, c := range next {
		l, was := c.l, c.l.opts()
		if !slices.Contains(r.listeners, l) {
			r.listeners = append(r.listeners, l)
		}
		if !reflect.DeepEqual(*was, c.now.opts) {
			r.log.Info("new settings", "listener", c.now.opts.Name)
		}
		l.now.Store(c.now)
		l.queue.opts, l.removed = c.now.opts.Hold, false
		if c.ln != nil {
			l.ln = c.ln
			r.accept.Go(func() { l.acceptLoop(c.ln) })
			r.log.Info("listening", "listener", l.opts().Name, "address", l.ln.Addr().String(), "target", string(l.opts().Rule.Target))
		}
		if r.table != nil {
			l.follow(r.table, boottime.Now(), true)
		}
	}
}

// keepPath says whether the path of a UNIX socket outlives the closing of a listener.
func keepPath(ln net.Listener, keep bool) {
	if d, ok := ln.(*door); ok {
		ln = d.Listener
	}
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(!keep)
	}
}

// over says whether nothing of a removed listener runs any more; called with the router's mu held. It stays known all the same: a client
// that was slow with its first packet may still come to wait there.
func (l *listener) over() bool { return l.removed && l.total.now == 0 && len(l.queue.waiting) == 0 }
