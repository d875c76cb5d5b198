//go:build bench

package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"

	"quorate/test/lab"
)

// settle is what a cluster's start has left to do: no rest yet.
const settle = 10 * time.Second

// idle measures what each host takes while nothing happens, PostgreSQL left out.
func idle(ctx context.Context, args []string, out, progress io.Writer) error {
	var o options
	flags := o.flags("idle", progress)
	long := flags.Duration("for", time.Minute, "how long to measure")
	if err := parse(flags, args); err != nil {
		return err
	}
	if err := calm(o.busy); err != nil {
		return err
	}
	products, program, done, err := products(ctx, o)
	defer done()
	if err != nil {
		return err
	}
	h := describe(program, append([]string{"idle"}, args...))
	text := fmt.Sprintf("| at rest for %s, PostgreSQL left out | host | processes | %% of a core | PSS, MB |\n| --- | --- | --- | --- | --- |\n", *long)
	for _, p := range products {
		lines, err := rest(ctx, p, *long, o.logs)
		if err != nil {
			return err
		}
		text += lines
	}
	h.end()
	_, err = io.WriteString(out, h.String()+"\n"+text)
	return err
}

// rest is the table's lines of one product: one for each host and program.
func rest(ctx context.Context, p product, long time.Duration, logs string) (lines string, err error) {
	if logs != "" {
		logs = filepath.Join(logs, p.name)
	}
	c, err := newCluster(ctx, p, async, logs)
	if err != nil {
		return "", err
	}
	defer c.lab.Close()
	if err := pause(ctx, settle); err != nil {
		return "", err
	}
	var before [3]usages
	for i, h := range c.hosts {
		if before[i], err = usagesOf(h); err != nil {
			return "", err
		}
	}
	begin := time.Now()
	if err := pause(ctx, long); err != nil {
		return "", err
	}
	for i, h := range c.hosts {
		after, err := usagesOf(h)
		if err != nil {
			return "", err
		}
		lines += after.lines(p.name, c.describe(ctx, h), before[i], time.Since(begin))
	}
	return lines, nil
}

// describe names the host and what it does for the cluster.
func (c *cluster) describe(ctx context.Context, h *lab.Host) string {
	name := h.Name
	if h == c.Primary(ctx) {
		name += ", primary"
	}
	if _, leader := c.storeMembers(ctx); h == leader {
		name += ", store's leader"
	}
	return name
}

// lines shows what was taken since before, by program and in sum.
func (u usages) lines(product, host string, before usages, long time.Duration) (text string) {
	share := func(d time.Duration) float64 { return 100 * d.Seconds() / long.Seconds() }
	var sum usage
	var programs []string
	for name := range u {
		programs = append(programs, name)
	}
	slices.Sort(programs)
	for _, name := range programs {
		taken := usage{cpu: u[name].cpu - before[name].cpu, pss: u[name].pss}
		sum.cpu += taken.cpu
		sum.pss += taken.pss
		text += fmt.Sprintf("| %s | %s | %s | %.2f | %.1f |\n", product, host, name, share(taken.cpu), megabytes(taken.pss))
	}
	return text + fmt.Sprintf("| %s | %s | **all** | **%.2f** | **%.1f** |\n", product, host, share(sum.cpu), megabytes(sum.pss))
}

func megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }
