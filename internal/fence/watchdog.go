package fence

import (
	"fmt"
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

// watchdog holds /dev/watchdog while a primary runs. Its methods are called with the server's lock held.
type watchdog struct {
	cfg   WatchdogConfig
	f     *os.File
	state string
}

// activate opens the device and sets its timeout. In mode automatic a device that is not there is no error.
func (w *watchdog) activate() error {
	if w.f != nil || w.cfg.Mode == "" || w.cfg.Mode == "off" {
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
	f, err := os.OpenFile(w.cfg.Device, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	secs := int((w.cfg.Timeout + time.Second - 1) / time.Second)
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.WDIOC_SETTIMEOUT, secs); err != nil {
		_, _ = f.WriteString("V")
		_ = f.Close()
		return fmt.Errorf("%s: setting a timeout of %d s: %w", w.cfg.Device, secs, err)
	}
	w.f = f
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
	_, _ = w.f.WriteString("V")
	_ = w.f.Close()
	w.f, w.state = nil, "off"
}
