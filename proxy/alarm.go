package proxy

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"quorate/internal/boottime"
)

// alarm rings at an Instant. Go's timers stand still while the machine is suspended, and a table's validity does not, so
// this is a timerfd on CLOCK_BOOTTIME: it rings at once when a host wakes up after the deadline.
type alarm struct {
	C    <-chan struct{} // receives after each ring; one ring may stand for several
	file *os.File
}

func newAlarm() (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create a timer on the boot-time clock: %w", err)
	}
	c := make(chan struct{}, 1)
	a := &alarm{C: c, file: os.NewFile(uintptr(fd), "timerfd")}
	go a.listen(c)
	return a, nil
}

// listen turns rings into sends until the alarm is closed.
func (a *alarm) listen(c chan<- struct{}) {
	var count [8]byte
	for {
		if _, err := a.file.Read(count[:]); err != nil {
			return
		}
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// set makes the alarm ring at t instead of any time set before. A t that has passed rings at once; zero never rings.
func (a *alarm) set(t boottime.Instant) error {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(t))}
	raw, err := a.file.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	if err := raw.Control(func(fd uintptr) {
		set = unix.TimerfdSettime(int(fd), unix.TFD_TIMER_ABSTIME, &spec, nil)
	}); err != nil {
		return err
	}
	return set
}

func (a *alarm) close() error { return a.file.Close() }
