package fence

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// WatchdogConfig is the hardware's part: a device that resets the host when it has not been written to for Timeout.
type WatchdogConfig struct {
	Mode    string        `json:"mode"` // off, automatic, required
	Device  string        `json:"device"`
	Timeout time.Duration `json:"timeout"` // from the last ping to the reset, in whole seconds: rounded up
	// Least is the shortest timeout that the pings are sure to come before: a device that knows no other is of no use.
	Least time.Duration `json:"least,omitempty"`
}

func (c WatchdogConfig) off() bool { return c.Mode == "" || c.Mode == "off" }

// watchdog holds /dev/watchdog while a primary runs. Its methods are called with the server's lock held.
type watchdog struct {
	cfg   WatchdogConfig
	f     device // nil: not active
	state string
	late  string // what the state has to add when the device is slower than it should be

	openDevice func(path string) (device, error) // nil: the kernel's
}

// device is an open watchdog (Documentation/watchdog/watchdog-api.rst).
type device interface {
	io.StringWriter
	io.Closer
	// setTimeout asks for a timeout and tells the one that is in force: a device may round, and some know one only.
	setTimeout(seconds int) (inForce int, err error)
}

type kernelDevice struct{ *os.File }

func (d kernelDevice) setTimeout(seconds int) (int, error) {
	fd := int(d.Fd())
	err := unix.IoctlSetPointerInt(fd, unix.WDIOC_SETTIMEOUT, seconds)
	if err != nil && !errors.Is(err, unix.ENOTTY) && !errors.Is(err, unix.EOPNOTSUPP) {
		return 0, fmt.Errorf("setting a timeout of %d s: %w", seconds, err)
	}
	got, err := unix.IoctlGetInt(fd, unix.WDIOC_GETTIMEOUT)
	if err != nil {
		return 0, fmt.Errorf("asking for its timeout: %w", err)
	}
	return got, nil
}

func openKernelDevice(path string) (device, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	return kernelDevice{f}, nil
}

// change puts another configuration in force. armed says that a primary runs behind a deadline: then it takes effect at once, or not at all when the new
// device cannot be used. A primary does not lose its lease, and not the watchdog that it has, by a slip in a file.
func (w *watchdog) change(c WatchdogConfig, armed bool) error {
	old := w.cfg
	switch {
	case !armed || c == old && w.f != nil:
		w.cfg = c
		return nil
	case c.off():
		w.disarm()
		w.cfg, w.state = c, "off"
		return nil
	case w.f != nil && c.Device == old.Device:
		if err := w.retime(w.f, c); err != nil {
			_ = w.retime(w.f, old)
			return err
		}
		w.cfg, w.state = c, w.active()
		return nil
	}
	former := w.f
	w.cfg, w.f = c, nil
	if err := w.open(); err != nil {
		w.f = former
		if c.Mode != "required" && former == nil {
			w.state = err.Error() // as at the start: no device, and none is demanded
			return nil
		}
		w.cfg = old
		return fmt.Errorf("watchdog: %w", err)
	}
	w.state = w.active()
	letGo(former)
	return nil
}

// retime sets the device's timeout. One that would reset a host that is well is refused, and in mode required also one that would come too late: another
// node may lead by then (Patroni 4.1, Watchdog._activate).
func (w *watchdog) retime(d device, c WatchdogConfig) error {
	secs := int((c.Timeout + time.Second - 1) / time.Second)
	got, err := d.setTimeout(secs)
	inForce := time.Duration(got) * time.Second
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", c.Device, err)
	case inForce < c.Least:
		return fmt.Errorf("%s resets the host %d s after a ping, and pings are certain within %s only: raise ttl, lower watchdog.safety_margin, or use another device", c.Device, got, c.Least)
	case got > secs && c.Mode == "required":
		return fmt.Errorf("%s resets the host %d s after a ping, which is later than the %d s in which a lease without renewal ends: raise ttl, or use another device", c.Device, got, secs)
	}
	w.late = ""
	if got > secs {
		w.late = fmt.Sprintf(", but it resets the host after %d s, and %d s were asked for", got, secs)
	}
	return nil
}

func (w *watchdog) active() string { return "active" + w.late }

// letGo closes a device with the magic character that tells it to stop.
func letGo(d device) {
	if d != nil {
		_, _ = d.WriteString("V")
		_ = d.Close()
	}
}

// activate opens the device and sets its timeout. In mode automatic a device that is not there is no error.
func (w *watchdog) activate() error {
	if w.f != nil || w.cfg.off() {
		return nil
	}
	err := w.open()
	if err == nil {
		w.state = w.active()
		return nil
	}
	w.state = err.Error()
	if w.cfg.Mode == "required" {
		return fmt.Errorf("watchdog: %w", err)
	}
	return nil
}

func (w *watchdog) open() error {
	open := w.openDevice
	if open == nil {
		open = openKernelDevice
	}
	d, err := open(w.cfg.Device)
	if err != nil {
		return err
	}
	if err := w.retime(d, w.cfg); err != nil {
		letGo(d)
		return err
	}
	w.f = d
	return nil
}

// ping puts the reset off.
func (w *watchdog) ping() {
	if w.f != nil {
		_, _ = w.f.WriteString("1")
	}
}

// disarm closes the device with the magic character that tells it to stop.
func (w *watchdog) disarm() {
	if w.f == nil {
		return
	}
	letGo(w.f)
	w.f, w.state = nil, "off"
}
