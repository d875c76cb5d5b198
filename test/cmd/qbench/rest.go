package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"quorate/test/lab"
)

// clockTick is the unit of the times in /proc/PID/stat: USER_HZ, 100 on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// rest measures what a host takes while nothing happens, PostgreSQL left out.
func rest(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("qbench rest", flag.ContinueOnError)
	flags.SetOutput(progress)
	var o benchOptions
	flags.StringVar(&o.stack, "stack", "quorate", "quorate, or patroni for the stack that it replaces")
	long := flags.Duration("for", time.Minute, "how long to measure")
	if err := flags.Parse(args); err != nil {
		return err
	}
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	wait := func(d time.Duration) {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	}
	wait(10 * time.Second) // what the start has left to do is no rest
	before, begin := make([]usage, len(b.hosts)), time.Now()
	for i, h := range b.hosts {
		if before[i], err = usageOf(h); err != nil {
			return err
		}
	}
	wait(*long)
	fmt.Fprintf(out, "%s at rest for %s, PostgreSQL left out\n\n| host | %% of a core | PSS, MB | processes |\n| --- | --- | --- | --- |\n", o.stack, *long)
	for i, h := range b.hosts {
		after, err := usageOf(h)
		if err != nil {
			return err
		}
		share := 100 * float64(after.cpu-before[i].cpu) / float64(time.Since(begin))
		fmt.Fprintf(out, "| %s | %.2f | %.1f | %d |\n", h.Name, share, float64(after.pss)/1000/1000, after.processes)
	}
	return ctx.Err()
}

// usage is what the processes of a host have taken so far.
type usage struct {
	cpu       time.Duration
	pss       int64 // bytes
	processes int
}

func usageOf(h *lab.Host) (u usage, err error) {
	procs, err := h.Find(func(p, parent lab.Proc) bool { return !lab.Postmaster(p, parent) && !lab.Backend(p, parent) })
	if err != nil {
		return u, err
	}
	for _, p := range procs {
		cpu, err1 := cpuOf(p.PID)
		pss, err2 := pssOf(p.PID)
		if err1 != nil || err2 != nil {
			continue // it has ended: none of those that stay
		}
		u.cpu += cpu
		u.pss += pss
		u.processes++
	}
	return u, nil
}

func cpuOf(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick, err
}

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
