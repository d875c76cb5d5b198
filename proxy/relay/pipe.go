package relay

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	pipeSize  = 256 << 10
	maxPipes  = 64                    // of one loop, in use; more bulk than that is copied
	freePipes = 8                     // kept for the next
	pipeRest  = 10 * time.Millisecond // without a byte, after which a direction gives its pipe back
)

// pipe is where spliced bytes are between two sockets.
type pipe struct {
	r, w int
	held int  // bytes in it
	idle bool // not used since the last look
}

// in moves from src into the pipe; it is only called with an empty one, so EAGAIN means that src has nothing.
func (p *pipe) in(src int) (int, error) {
	n, err := splice(src, p.w, pipeSize)
	if err != nil {
		return 0, err
	}
	p.held += n
	p.idle = false
	return n, nil
}

// out moves from the pipe to dst.
func (p *pipe) out(dst int) (int, error) {
	n, err := splice(p.r, dst, p.held)
	if err != nil {
		return 0, err
	}
	p.held -= n
	return n, nil
}

// pipes are a loop's.
type pipes struct {
	free   []*pipe
	inUse  []*half
	looked time.Time
}

// take finds a pipe for h, or nil when there are enough.
func (ps *pipes) take(h *half) *pipe {
	if len(ps.inUse) >= maxPipes {
		return nil
	}
	p := ps.pop()
	if p == nil {
		var fd [2]int
		if unix.Pipe2(fd[:], unix.O_NONBLOCK|unix.O_CLOEXEC) != nil {
			return nil // out of descriptors: copying needs none
		}
		p = &pipe{r: fd[0], w: fd[1]}
		_, _ = unix.FcntlInt(uintptr(p.w), unix.F_SETPIPE_SZ, pipeSize) // less will do
	}
	ps.inUse = append(ps.inUse, h)
	return p
}

func (ps *pipes) pop() *pipe {
	n := len(ps.free)
	if n == 0 {
		return nil
	}
	p := ps.free[n-1]
	ps.free = ps.free[:n-1]
	return p
}

// give takes h's pipe back. One with bytes in it is of no use to others.
func (ps *pipes) give(h *half) {
	p := h.pipe
	h.pipe, h.full = nil, 0
	if i := slices.Index(ps.inUse, h); i >= 0 {
		ps.inUse = slices.Delete(ps.inUse, i, i+1)
	}
	if p.held > 0 || len(ps.free) >= freePipes {
		p.close()
		return
	}
	ps.free = append(ps.free, p)
}

func (ps *pipes) any() bool { return len(ps.inUse)+len(ps.free) > 0 }

// reclaim takes pipes back from directions that have paused; a busy loop calls it all the time.
func (ps *pipes) reclaim() {
	if len(ps.inUse) == 0 {
		return
	}
	if now := time.Now(); now.Sub(ps.looked) >= pipeRest {
		ps.looked = now
		for _, h := range slices.Clone(ps.inUse) {
			if h.pipe.held == 0 && h.pipe.idle {
				ps.give(h)
				continue
			}
			h.pipe.idle = true
		}
	}
}

// reclaimAll is called when the loop has nothing to do: whoever holds an empty pipe has paused, and nothing is kept.
func (ps *pipes) reclaimAll() {
	for _, h := range slices.Clone(ps.inUse) {
		if h.pipe.held == 0 {
			ps.give(h)
		}
	}
	for _, p := range ps.free {
		p.close()
	}
	ps.free = nil
}

func (ps *pipes) close() {
	for _, h := range ps.inUse {
		h.pipe.close()
	}
	for _, p := range ps.free {
		p.close()
	}
	ps.inUse, ps.free = nil, nil
}

func (p *pipe) close() {
	_ = unix.Close(p.r)
	_ = unix.Close(p.w)
}
