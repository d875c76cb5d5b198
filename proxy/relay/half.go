package relay

import (
	"errors"

	"golang.org/x/sys/unix"
)

// verdict is how far a direction got.
type verdict int

const (
	waiting    verdict = iota // for epoll
	unfinished                // the share of this turn is used up
	srcLost
	dstLost
)

const (
	share     = 16 // reads that a direction may do in one turn, so that bulk does not starve the others
	bulkAfter = 4  // reads in a row that filled the buffer
)

// pass moves bytes from src to dst as long as both are willing.
func (h *half) pass(f *Flow) verdict {
	for range share {
		if h.done {
			return waiting
		}
		if v := h.flush(f); v != unfinished {
			return v
		}
		if h.over {
			h.done = true
			if !f.up.done || !f.down.done { // else both sockets are closed at once
				_ = shutdown(h.dst.fd, unix.SHUT_WR) // fails only when dst is lost, which shows elsewhere
			}
			return waiting
		}
		if !h.src.readable {
			return waiting
		}
		if v := h.fill(f); v != unfinished {
			return v
		}
	}
	return unfinished
}

// flush gives dst what it has not taken before. It returns unfinished when nothing is left.
func (h *half) flush(f *Flow) verdict {
	for len(h.rest) > 0 || h.pipe != nil && h.pipe.held > 0 {
		if !h.dst.writable {
			return waiting
		}
		n, err := h.drain()
		if errors.Is(err, unix.EAGAIN) {
			h.dst.writable = false
			return waiting
		}
		if err != nil {
			return h.refused(f)
		}
		h.bytes.Add(int64(n))
	}
	h.freeBuffer(f.loop)
	return unfinished
}

// drain writes once.
func (h *half) drain() (int, error) {
	if len(h.rest) > 0 {
		n, err := send(h.dst.fd, h.rest)
		h.rest = h.rest[n:]
		return n, err
	}
	return h.pipe.out(h.dst.fd)
}

// refused is called when dst takes nothing any more. A client is lost then. A server's last words may still be on their way
// down, so only this direction ends.
func (h *half) refused(f *Flow) verdict {
	if h == &f.down {
		return dstLost
	}
	h.done = true
	h.release(f.loop)
	return waiting
}

// fill reads once and writes what it read.
func (h *half) fill(f *Flow) verdict {
	if h.bulk(f) {
		return h.fillPipe(f)
	}
	buf := f.loop.scratch[:]
	n, err := receive(h.src.fd, buf)
	if err != nil {
		return h.unread(err)
	}
	if n == 0 {
		h.over, h.src.readable = true, false
		return unfinished
	}
	h.full++
	if n < len(buf) {
		h.full = 0
		h.over = h.src.ended
		h.src.readable = h.src.ending && !h.over // a short read has emptied the socket, unless the end is in it
	}
	if h == &f.down {
		f.owner.Seen(buf[:n])
	}
	return h.forward(f, buf[:n])
}

// forward writes p, and keeps what dst does not take.
func (h *half) forward(f *Flow, p []byte) verdict {
	var n int
	if h.dst.writable {
		var err error
		if n, err = send(h.dst.fd, p); err != nil && !errors.Is(err, unix.EAGAIN) {
			return h.refused(f)
		}
		h.bytes.Add(int64(n))
	}
	if n < len(p) {
		h.dst.writable = false
		h.buffer = f.loop.takeBuffer()
		h.rest = h.buffer[:copy(h.buffer, p[n:])]
		return waiting
	}
	return unfinished
}

// unread sorts out why a read gave nothing.
func (h *half) unread(err error) verdict {
	h.src.readable = false
	if errors.Is(err, unix.EAGAIN) {
		h.src.ending = false // it would have been read
		return waiting
	}
	return srcLost
}

// bulk says whether the direction is carrying so much that the kernel had better move it.
func (h *half) bulk(f *Flow) bool {
	if h.pipe != nil {
		return true
	}
	if h.full < bulkAfter || h.noSplice {
		return false
	}
	if h.pipe = f.loop.pipes.take(h); h.pipe == nil {
		return false
	}
	if h == &f.down {
		f.owner.Unseen()
	}
	return true
}

// fillPipe lets the kernel take from src; flush lets it give to dst.
func (h *half) fillPipe(f *Flow) verdict {
	n, err := h.pipe.in(h.src.fd)
	switch {
	case errors.Is(err, unix.EINVAL):
		h.noSplice = true
		f.loop.pipes.give(h)
		return unfinished
	case err != nil:
		return h.unread(err)
	case n == 0:
		h.over, h.src.readable = true, false
	}
	return unfinished
}

// release gives back whatever the direction holds.
func (h *half) release(l *loop) {
	h.rest = nil
	h.freeBuffer(l)
	if h.pipe != nil {
		l.pipes.give(h)
	}
}

func (h *half) freeBuffer(l *loop) {
	if h.buffer != nil {
		l.giveBuffer(h.buffer)
		h.buffer, h.rest = nil, nil
	}
}
