package fence

import (
	"runtime"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"quorate/internal/boottime"
)

// timer calls fire when the deadline has passed, from a thread of its own that does nothing else.
type timer struct {
	fd       int
	deadline atomic.Int64 // boottime.Instant; 0: not armed
	fired    atomic.Bool
	fire     func()
}

func newTimer(fire func()) (*timer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	t := &timer{fd: fd, fire: fire}
	go t.run()
	return t, nil
}

// run waits on the timer for ever. The read returns late after a pause of the whole host, and then at once: what a backend
// may still acknowledge between the host's return and this thread's first instruction is the bound of invariant I1.
func (t *timer) run() {
	runtime.LockOSThread()
	var buf [8]byte
	for {
		if _, err := unix.Read(t.fd, buf[:]); err != nil && err != unix.EINTR {
			continue
		}
		d := boottime.Instant(t.deadline.Load())
		if d == 0 || boottime.Now().Before(d) {
			continue // moved or disarmed meanwhile
		}
		t.fired.Store(true)
		t.fire()
	}
}

// set arms the timer for d, or disarms it with 0.
func (t *timer) set(d boottime.Instant) error {
	t.deadline.Store(int64(d))
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	return unix.TimerfdSettime(t.fd, unix.TFD_TIMER_ABSTIME, &spec, nil)
}
