//go:build bench

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"quorate/test/lab"
)

// clockTick is the unit of the times in /proc/PID/stat: USER_HZ, 100 on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// usage is what processes have taken so far.
type usage struct {
	cpu time.Duration
	pss int64 // bytes
}

// usages of a host's programs, by name.
type usages map[string]usage

// usagesOf sums up the processes of a host, PostgreSQL's left out. A process that ends meanwhile is none of those that stay, and is passed over.
func usagesOf(h *lab.Host) (usages, error) {
	procs, err := h.Find(func(p, parent lab.Proc) bool { return !lab.Postmaster(p, parent) && !lab.Backend(p, parent) })
	if err != nil {
		return nil, err
	}
	all := usages{}
	for _, p := range procs {
		one, err := usageOf(p.PID)
		if err != nil {
			continue
		}
		name := programOf(p)
		all[name] = usage{cpu: all[name].cpu + one.cpu, pss: all[name].pss + one.pss}
	}
	return all, nil
}

func usageOf(pid int) (usage, error) {
	cpu, err1 := cpuOf(pid)
	pss, err2 := pssOf(pid)
	return usage{cpu, pss}, errors.Join(err1, err2)
}

// programOf tells our processes apart by their first argument, and those of an interpreter by their script.
func programOf(p lab.Proc) string {
	name := filepath.Base(p.Args[0])
	switch {
	case len(p.Args) < 2:
		return name
	case name == "quorate":
		return name + " " + p.Args[1]
	case strings.HasPrefix(name, "python"):
		return filepath.Base(p.Args[1])
	}
	return name
}

func cpuOf(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The command may itself hold spaces and brackets; behind its last bracket, utime and stime are the 12th and 13th field: proc(5).
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("short stat of process %d: %q", pid, stat)
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick, errors.Join(err1, err2)
}

// pssOf is the process's share of the memory that it has resident: pages that several processes map count in parts.
func pssOf(pid int) (int64, error) {
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(rollup)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "Pss:" {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("no Pss of process %d", pid)
}
