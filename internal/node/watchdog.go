package node

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"quorate/internal/config"
	"quorate/internal/config/dynamic"
	"quorate/internal/fence"
)

// lookForWatchdog tells the loop whether this host has a watchdog that it could use, where one is required: without it this node does not race
// for the lead (Patroni 4.1, Watchdog.is_healthy). The device is not opened, which would start it.
func (a *agent) lookForWatchdog() {
	if w := a.local.Load().Watchdog; w.Mode == "required" {
		a.loop.post(watchdogEvent{!usableDevice(w.Device)})
	}
}

func usableDevice(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode()&os.ModeDevice != 0 && unix.Access(path, unix.W_OK) == nil
}

// watchdogConfig is the fence's part of the configuration: the device resets the host before another may take the lead.
func watchdogConfig(w config.Watchdog, ttl time.Duration) fence.WatchdogConfig {
	t := ttl - w.SafetyMargin
	if w.SafetyMargin < 0 || t <= 0 {
		t = dynamic.TimingFor(ttl).WatchdogTimeout()
	}
	// Two renewals in a row may be late without harm; a reset must not come of it.
	return fence.WatchdogConfig{Mode: w.Mode, Device: w.Device, Timeout: t, Least: 2 * dynamic.TimingFor(ttl).Renew}
}

// watchdogKeeper remembers what the fence was told. It belongs to whoever applies configurations.
type watchdogKeeper struct{ told fence.WatchdogConfig }

// first is what the fence is told before the cluster's configuration is known.
func (k *watchdogKeeper) first(c *config.Config) fence.WatchdogConfig {
	eff, _ := c.Effective(c.Bootstrap.DCS, c.Profile())
	k.told = watchdogConfig(c.Watchdog, eff.TTL)
	return k.told
}

// applyWatchdog tells the fence of another mode, device or ttl.
func (a *agent) applyWatchdog(ttl time.Duration) {
	want := watchdogConfig(a.local.Load().Watchdog, ttl)
	if want == a.dog.told {
		return
	}
	ctx, cancel := context.WithTimeout(a.ctx, shortTimeout)
	defer cancel()
	if err := a.guard.SetWatchdog(ctx, want); err != nil {
		a.log.Error("the watchdog stays as it is", "mode", want.Mode, "device", want.Device, "timeout", want.Timeout, "error", err)
		return
	}
	a.dog.told = want
	a.log.Info("watchdog", "mode", want.Mode, "device", want.Device, "timeout", want.Timeout)
}

type watchdogEvent struct{ failed bool }

func (e watchdogEvent) fold(k *known) { k.self.WatchdogFailed = e.failed }
