package fence

import (
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
	Timeout time.Duration `json:"timeout"` // whole seconds; the device may round up
}

func (c WatchdogConfig) off() bool { return c.Mode == "" || c.Mode == "off" }

// watchdog holds /dev/watchdog while a primary runs. Its methods are called with the server's lock held.
type watchdog struct {
	cfg   WatchdogConfig
	f     device // nil: not active
	state string

	openDevice func(path string) (device, error) // nil: the kernel's
}

// device is an open watchdog (Documentation/watchdog/watchdog-api.rst).
type device interface {
	io.StringWriter
	io.Closer
	setTimeout(seconds int) error
}

type kernelDevice struct{ *os.File }

func (d kernelDevice) setTimeout(seconds int) error {
	return unix.IoctlSetPointerInt(int(d.Fd()), unix.WDIOC_SETTIMEOUT, seconds)
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
			return err
		}
		w.cfg = c
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
	w.state = "active"
	letGo(former)
	return nil
}

func (w *watchdog) retime(d device, c WatchdogConfig) error {
	secs := int((c.Timeout + time.Second - 1) / time.Second)
	if err := d.setTimeout(secs); err != nil {
		return fmt.Errorf("%s: setting a timeout of %d s: %w", c.Device, secs, err)
	}
	return nil
}

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
		w.state = "active"
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
