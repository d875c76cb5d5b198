package node

import (
	"os"

	"golang.org/x/sys/unix"
)

// lookForWatchdog tells the loop whether this host has a watchdog that it could use, where one is required: without it this node does not race
// for the lead (Patroni 4.1, Watchdog.is_healthy). The device is not opened, which would start it.
func (a *agent) lookForWatchdog() {
	if a.cfg.Watchdog.Mode == "required" {
		a.loop.post(watchdogEvent{!usableDevice(a.cfg.Watchdog.Device)})
	}
}

func usableDevice(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode()&os.ModeDevice != 0 && unix.Access(path, unix.W_OK) == nil
}

type watchdogEvent struct{ failed bool }

func (e watchdogEvent) fold(k *known) { k.self.WatchdogFailed = e.failed }
