package main

import (
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"quorate/test/check"
)

// measurement is one run's outcome.
type measurement struct {
	outage     check.Outage
	rejoin     time.Duration // from the mend until all hosts follow
	lost       int           // acknowledged commits that are gone
	violations int           // proofs of two primaries
}

// row is a fault's runs.
type row struct {
	name             string
	outages, rejoins []time.Duration
	lost, violations int
}

func (r *row) add(m measurement) {
	r.outages = append(r.outages, m.outage.Duration)
	r.rejoins = append(r.rejoins, m.rejoin)
	r.lost += m.lost
	r.violations += m.violations
}

// median of an even number is the greater of the two in the middle: no figure that nobody measured.
func median(d []time.Duration) time.Duration {
	if len(d) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(d))
	return sorted[len(sorted)/2]
}

func writeTable(out io.Writer, o benchOptions, runs int, rows []row) error {
	mode := "asynchronous"
	if o.synchronous {
		mode = "synchronous"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, %d runs each, %d cores, %s, kernel %s\n\n", o.stack, mode, runs, runtime.NumCPU(), time.Now().Format(time.DateOnly), kernel())
	b.WriteString("| fault | s without a commit: median | worst | s until whole again: median | worst | lost | two primaries |\n")
	b.WriteString("| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, r := range rows {
		if len(r.outages) == 0 {
			continue
		}
		fmt.Fprintf(&b, "| %s | %.2f | %.2f | %.1f | %.1f | %d | %d |\n", r.name, median(r.outages).Seconds(), slices.Max(r.outages).Seconds(),
			median(r.rejoins).Seconds(), slices.Max(r.rejoins).Seconds(), r.lost, r.violations)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func kernel() string {
	out, err := exec.Command("uname", "-r").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
