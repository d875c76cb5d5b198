package gather

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"quorate/internal/doctor"
)

// staUnsync and timeError are of adjtimex(2): nobody disciplines the clock.
const (
	staUnsync = 0x0040
	timeError = 5
)

func (g *gatherer) clock() doctor.Clock {
	var c doctor.Clock
	var t unix.Timex
	if state, err := unix.Adjtimex(&t); err == nil {
		c.Known = true
		c.Synchronised = state != timeError && t.Status&staUnsync == 0
		c.MaxError = time.Duration(t.Maxerror) * time.Microsecond
	}
	c.Source = g.sysText("devices/system/clocksource/clocksource0/current_clocksource")
	var boot, mono unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) == nil && unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono) == nil {
		c.Suspended = max(0, time.Duration(boot.Nano()-mono.Nano())).Truncate(time.Millisecond)
	}
	return c
}

func (g *gatherer) sysText(path string) string {
	b, err := os.ReadFile(filepath.Join(g.Sys, path))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func (g *gatherer) procText(path ...string) string {
	b, err := os.ReadFile(filepath.Join(append([]string{g.Proc}, path...)...))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func (g *gatherer) kernel() doctor.Kernel {
	k := doctor.Kernel{Release: g.procText("sys/kernel/osrelease"), Overcommit: -1}
	if fd, err := unix.PidfdOpen(os.Getpid(), 0); err == nil {
		k.PIDFD = true
		unix.Close(fd)
	}
	self := strconv.Itoa(os.Getpid())
	if _, err := os.ReadFile(filepath.Join(g.Proc, self, "task", self, "children")); err == nil {
		k.ListsChildren = true
	} else {
		k.ListsErr = err.Error()
	}
	if n, err := strconv.Atoi(g.procText("sys/vm/overcommit_memory")); err == nil {
		k.Overcommit = n
	}
	return k
}

// watchdog looks at the device without opening it: to open one is to start it.
func (g *gatherer) watchdog() doctor.Watchdog {
	c := g.Config.Watchdog
	w := doctor.Watchdog{Mode: c.Mode, Device: c.Device}
	if fi, err := os.Stat(c.Device); err == nil {
		w.Exists = fi.Mode()&os.ModeCharDevice != 0
		w.Writable = unix.Access(c.Device, unix.W_OK) == nil
	}
	w.Identity = g.sysText("class/watchdog/watchdog0/identity")
	return w
}

// units finds what starts a PostgreSQL or Patroni at boot, by the files that `systemctl enable` and Debian's postgresql-common leave.
func (g *gatherer) units() (out []doctor.Unit) {
	wants, err := filepath.Glob(filepath.Join(g.Etc, "systemd/system/*.wants/*.service"))
	if err != nil {
		return nil
	}
	all := false // postgresql.service starts each cluster whose start.conf says auto
	for _, path := range wants {
		name := filepath.Base(path)
		switch {
		case name == "postgresql.service":
			all = true
		case strings.HasPrefix(name, "postgresql@"), strings.HasPrefix(name, "postgresql-"):
			out = append(out, doctor.Unit{Name: name, Kind: "postgresql", DataDir: g.dataOfUnit(name)})
		case strings.HasPrefix(name, "patroni"):
			out = append(out, doctor.Unit{Name: name, Kind: "patroni", Configured: g.patroniConfigured()})
		}
	}
	if !all {
		return out
	}
	confs, _ := filepath.Glob(filepath.Join(g.Etc, "postgresql/*/*/start.conf"))
	for _, conf := range confs {
		if startsBySelf(conf) {
			dir := filepath.Dir(conf)
			name := "postgresql@" + filepath.Base(filepath.Dir(dir)) + "-" + filepath.Base(dir) + ".service"
			out = append(out, doctor.Unit{Name: name, Kind: "postgresql", DataDir: dataDirectory(filepath.Join(dir, "postgresql.conf"))})
		}
	}
	return out
}

// patroniConfigured says whether Debian's unit has something to run: dcs.yml alone is only a part.
func (g *gatherer) patroniConfigured() bool {
	files, _ := filepath.Glob(filepath.Join(g.Etc, "patroni/*.yml"))
	return slices.ContainsFunc(files, func(path string) bool { return filepath.Base(path) != "dcs.yml" })
}

// startsBySelf reads a start.conf: auto, manual or disabled; auto when nothing is written.
func startsBySelf(path string) bool {
	b, err := os.ReadFile(path)
	if err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	for _, line := range strings.Split(string(b), "\n") {
		line, _, _ = strings.Cut(line, "#")
		if word := strings.TrimSpace(line); word != "" {
			return word == "auto"
		}
	}
	return true
}

// dataOfUnit is the data folder of Debian's postgresql@VERSION-NAME.
func (g *gatherer) dataOfUnit(unit string) string {
	_, instance, _ := strings.Cut(strings.TrimSuffix(unit, ".service"), "@")
	version, name, _ := strings.Cut(instance, "-")
	return dataDirectory(filepath.Join(g.Etc, "postgresql", version, name, "postgresql.conf"))
}
