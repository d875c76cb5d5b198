package proxy

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// ErrDescriptors is returned by New when the process may not open as many files as the configured sessions take.
var ErrDescriptors = errors.New("too few file descriptors")

const (
	perSession  = 2   // both legs
	notSessions = 256 // descriptors left to everything else in the process, and to connections that are being opened
)

// capacity is how many sessions a limit of descriptors allows. Where the configuration sets its own limits, and they need more,
// it says so now rather than on the busiest day.
func (o Options) capacity(descriptors uint64) (int, error) {
	room := (int64(min(descriptors, 1<<30)) - notSessions) / perSession
	asked, all := int64(0), true
	for _, l := range o.Listeners {
		asked += int64(l.MaxSessions)
		all = all && l.MaxSessions > 0
	}
	if all && asked > room || room < 1 {
		return 0, fmt.Errorf("%w: the process may open %d, and %d sessions take %d; raise the limit (LimitNOFILE= in the service, ulimit -n in a shell) or lower max_sessions",
			ErrDescriptors, descriptors, max(asked, 1), max(asked, 1)*perSession+notSessions)
	}
	if o.MaxSessions > 0 {
		room = min(room, int64(o.MaxSessions))
	}
	return int(room), nil
}

// descriptorLimit is the process's. Go raises the soft limit to the hard one at start.
func descriptorLimit() (uint64, error) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return 0, fmt.Errorf("read the limit of file descriptors: %w", err)
	}
	return lim.Cur, nil
}

// shortage is how long an opening waits when the host has run out of something.
const shortage = 50 * time.Millisecond

// outOf says whether err is about this host's own means: descriptors, memory, local ports.
func outOf(err error) bool {
	for _, e := range []error{unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.EADDRNOTAVAIL} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// hurried is the patience with first packets once many are outstanding.
const hurried = time.Second

// enter counts a client that has not said anything yet (mute), and returns how long it may take to. Clients that only connect (scanners,
// a slow loris) are worth few descriptors: with a quarter of them taken so, patience becomes short, and with half of them there is none.
func (r *Router) enter() (patience time.Duration) {
	capacity := r.capacity.Load()
	switch n := r.mute.Add(1); {
	case n > max(capacity, 2):
		return 0
	case n > max(capacity/2, 1):
		return min(hurried, r.opts().StartTimeout)
	}
	return r.opts().StartTimeout
}
