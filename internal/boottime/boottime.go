// Package boottime reads CLOCK_BOOTTIME: a clock that never jumps, and that goes on counting while the machine is
// suspended. Every lease deadline, fence deadline and table validity in Quorate is an Instant on it. The wall clock is for
// people to read and decides nothing.
package boottime

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Instant is a moment in nanoseconds since this host booted, time in suspend included. It means nothing on another host
// and nothing after a reboot: send durations, never Instants. The zero Instant is long past.
type Instant int64

// Now is the present moment.
func Now() Instant {
	var ts unix.Timespec
	// It does not wait, so the scheduler need not know of it, as unix.ClockGettime would tell it.
	if _, _, errno := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_BOOTTIME, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		// The call cannot fail for a clock that the kernel has (Linux 2.6.39 and later), and no lease can be kept without it.
		panic("boottime: " + errno.Error())
	}
	return Instant(ts.Nano())
}

// Add is the instant d later.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d) }

// Sub is the time from o to i.
func (i Instant) Sub(o Instant) time.Duration { return time.Duration(i - o) }

// Before says whether i lies before o.
func (i Instant) Before(o Instant) bool { return i < o }

// After says whether i lies after o.
func (i Instant) After(o Instant) bool { return i > o }

// IsZero says whether i was never set.
func (i Instant) IsZero() bool { return i == 0 }

// Until is how far i lies ahead of now; negative when it has passed.
func Until(i Instant) time.Duration { return i.Sub(Now()) }
