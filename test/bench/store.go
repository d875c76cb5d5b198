//go:build bench

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// storeRow is one measure. The ratio is ours to etcd's.
type storeRow struct {
	title string
	unit  string
	// more says that more is better: the ratio must then be at least the target, else at most.
	more   bool
	target float64
}

// storeOptions are what `bench store` takes.
type storeOptions struct {
	etcd, binary, dir, rows string
	long                    time.Duration
	rounds, kills, keys     int
	clients                 int // 0 for all loads
	busy                    bool
}

// storeGroup measures rows on a cluster of its own.
type storeGroup struct {
	name  string
	rows  []storeRow
	flags []string
	run   func(ctx context.Context, c *storeCluster, o storeOptions) ([]float64, error)
}

// store measures etcd and ours in turn, round by round, and prints the medians.
func store(ctx context.Context, args []string, out, progress io.Writer) error {
	var o storeOptions
	f := flag.NewFlagSet("store", flag.ContinueOnError)
	f.SetOutput(progress)
	f.StringVar(&o.etcd, "etcd", "", "etcd's program")
	f.StringVar(&o.binary, "binary", "", "our program")
	f.StringVar(&o.dir, "dir", "", "where the data of both lies (the system's temporary folder)")
	f.StringVar(&o.rows, "rows", "", "the groups to measure, by comma (all): "+strings.Join(storeGroupNames(), ", "))
	f.DurationVar(&o.long, "for", 10*time.Second, "how long each load lasts")
	f.IntVar(&o.rounds, "rounds", 3, "how often each product is measured; the median counts")
	f.IntVar(&o.kills, "kills", 20, "how often the leader is killed, over all rounds")
	f.IntVar(&o.clients, "clients", 0, "measure only the loads of that many clients (all)")
	f.IntVar(&o.keys, "keys", 100_000, "the puts before memory and start are measured")
	f.BoolVar(&o.busy, "busy", false, "measure although the machine does something else")
	if err := parse(f, args); err != nil {
		return err
	}
	if o.etcd == "" || o.binary == "" {
		return errors.New("--etcd and --binary must name the two programs")
	}
	if err := calm(o.busy); err != nil {
		return err
	}
	both := []storeProduct{
		{name: "etcd", command: []string{o.etcd}},
		{name: "quorate", command: []string{o.binary, "etcd"}},
	}
	h := describe(o.binary, append([]string{"store"}, args...))
	text := fmt.Sprintf("| three members each, same disk, median of %d | %s | quorate | ratio | target | met |\n| --- | --- | --- | --- | --- | --- |\n",
		o.rounds, versionOf(ctx, o.etcd))
	want := list(o.rows)
	for _, g := range storeGroups(o.clients) {
		if len(want) > 0 && !slices.Contains(want, g.name) {
			continue
		}
		lines, err := g.measure(ctx, both, o, progress)
		text += lines
		if err != nil {
			fmt.Fprint(out, text)
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	h.end()
	_, err := io.WriteString(out, h.String()+"\n"+text)
	return err
}

func versionOf(ctx context.Context, etcd string) string {
	b, err := exec.CommandContext(ctx, etcd, "--version").Output()
	if err != nil {
		return "etcd"
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.Replace(line, "etcd Version: ", "etcd ", 1)
}

func (g storeGroup) measure(ctx context.Context, both []storeProduct, o storeOptions, progress io.Writer) (string, error) {
	figures := map[string][][]float64{}
	for round := range o.rounds {
		for _, p := range both {
			p.flags = append(slices.Clone(p.flags), g.flags...)
			v, err := g.once(ctx, p, o)
			if err != nil {
				return "", fmt.Errorf("%s: %w", p.name, err)
			}
			fmt.Fprintf(progress, "%s, round %d, %s: %s\n", g.name, round+1, p.name, strings.Trim(fmt.Sprintf("%.4g", v), "[]"))
			figures[p.name] = append(figures[p.name], v)
		}
	}
	var b strings.Builder
	for i, r := range g.rows {
		b.WriteString(r.line(middle(figures[both[0].name], i), middle(figures[both[1].name], i)))
	}
	return b.String(), nil
}

func (g storeGroup) once(ctx context.Context, p storeProduct, o storeOptions) (v []float64, err error) {
	c, err := newStoreCluster(ctx, p, o.dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if v, err = g.run(ctx, c, o); err == nil && len(v) != len(g.rows) {
		err = fmt.Errorf("%d figures for %d rows", len(v), len(g.rows))
	}
	return v, err
}

// middle is the median of one row's figures over the rounds.
func middle(rounds [][]float64, row int) float64 {
	var v []float64
	for _, r := range rounds {
		v = append(v, r[row])
	}
	slices.Sort(v)
	return v[len(v)/2]
}

func (r storeRow) line(theirs, ours float64) string {
	ratio := ours / theirs
	sign, met := "≤", ratio <= r.target
	if r.more {
		sign, met = "≥", ratio >= r.target
	}
	verdict := map[bool]string{true: "yes", false: "no"}[met]
	return fmt.Sprintf("| %s, %s | %.4g | %.4g | %.2f | %s %.3g | %s |\n", r.title, r.unit, theirs, ours, ratio, sign, r.target, verdict)
}

func storeGroupNames() (names []string) {
	for _, g := range storeGroups(0) {
		names = append(names, g.name)
	}
	return names
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func megabyte(b int64) float64 { return float64(b) / (1 << 20) }

// storeGroups are the groups with their loads of a number of clients, 0 for all.
func storeGroups(clients int) []storeGroup {
	return []storeGroup{putGroup(clients), getGroup(clients),
		{
			name: "watch", rows: []storeRow{{"event latency with 1,000 watchers, p99", "ms", false, 1.0}},
			run: func(ctx context.Context, c *storeCluster, o storeOptions) ([]float64, error) {
				d, err := c.watchLatency(ctx, 1000, o.long)
				return []float64{ms(d)}, err
			},
		}, {
			name: "keepalive", rows: []storeRow{
				{"10,000 keep-alives a second", "CPU seconds a second", false, 1.0},
				{"of these answered", "a second", true, 0.99},
			},
			run: func(ctx context.Context, c *storeCluster, o storeOptions) ([]float64, error) {
				cpu, rate, err := c.keepAlives(ctx, 10000, 10000, o.long)
				return []float64{cpu, rate}, err
			},
		}, {
			name: "kill", rows: []storeRow{{"leader killed until the first put, median", "ms", false, 1.0}},
			run: func(ctx context.Context, c *storeCluster, o storeOptions) ([]float64, error) {
				var all []time.Duration
				for range max(1, o.kills/o.rounds) {
					d, err := c.leaderKilled(ctx)
					if err != nil {
						return nil, err
					}
					all = append(all, d)
				}
				return []float64{ms(median(all))}, nil
			},
		}, memoryGroup(),
	}
}

func putGroup(only int) storeGroup {
	g := storeGroup{name: "put"}
	type kind struct {
		clients  int
		follower bool
	}
	var kinds []kind
	for _, follower := range []bool{false, true} {
		for _, clients := range []int{1, 16, 100, 1000} {
			if only != 0 && clients != only {
				continue
			}
			kinds = append(kinds, kind{clients, follower})
			through := map[bool]string{false: "leader", true: "follower"}[follower]
			rate, late := 0.5, 2.0
			switch {
			case clients == 16:
				rate = 0.6
			case clients == 100:
				rate, late = 0.8, 1.25
			case clients == 1000:
				rate, late = 0.9, 1.25
			}
			g.rows = append(g.rows, storeRow{fmt.Sprintf("puts of 256 bytes, %d clients, through the %s", clients, through), "a second", true, rate},
				storeRow{"p99 of these", "ms", false, late})
		}
	}
	g.run = func(ctx context.Context, c *storeCluster, o storeOptions) (v []float64, err error) {
		for _, k := range kinds {
			addr, err := c.endpoint(ctx, k.follower)
			if err != nil {
				return nil, err
			}
			r, err := puts(ctx, addr, k.clients, o.long)
			if err != nil {
				return nil, err
			}
			v = append(v, r.rate, ms(r.p99))
		}
		return v, nil
	}
	return g
}

func getGroup(only int) storeGroup {
	g := storeGroup{name: "get"}
	type kind struct {
		clients                int
		follower, serializable bool
	}
	var kinds []kind
	for _, serializable := range []bool{false, true} {
		for _, follower := range []bool{false, true} {
			for _, clients := range []int{16, 100} {
				if only != 0 && clients != only {
					continue
				}
				kinds = append(kinds, kind{clients, follower, serializable})
				g.rows = append(g.rows, storeRow{fmt.Sprintf("%s gets, %d clients, through %s",
					map[bool]string{true: "serializable", false: "linearizable"}[serializable], clients,
					map[bool]string{true: "a follower", false: "the leader"}[follower]), "a second", true, 1.0})
			}
		}
	}
	g.run = func(ctx context.Context, c *storeCluster, o storeOptions) (v []float64, err error) {
		for i := range storeKeys {
			if _, err := c.clients[0].Put(ctx, storeKey(i), storeValue()); err != nil {
				return nil, err
			}
		}
		for _, k := range kinds {
			addr, err := c.endpoint(ctx, k.follower)
			if err != nil {
				return nil, err
			}
			var opts []clientv3.OpOption
			if k.serializable {
				opts = append(opts, clientv3.WithSerializable())
			}
			r, err := gets(ctx, addr, k.clients, o.long, opts...)
			if err != nil {
				return nil, err
			}
			v = append(v, r.rate)
		}
		return v, nil
	}
	return g
}

func memoryGroup() storeGroup {
	return storeGroup{
		name: "memory",
		rows: []storeRow{
			{"resident memory at rest", "MiB a member", false, 1.0},
			{"resident memory after the puts, compacted", "MiB a member", false, 1.0},
			{"start of all three with that many keys, until each answers", "ms", false, 1.0},
			{"start of one of them", "ms", false, 1.0},
		},
		run: func(ctx context.Context, c *storeCluster, o storeOptions) ([]float64, error) {
			if err := pause(ctx, o.long); err != nil {
				return nil, err
			}
			rest, err := c.rss()
			if err != nil {
				return nil, err
			}
			if err := c.fill(ctx, o.keys); err != nil {
				return nil, err
			}
			if err := c.compact(ctx); err != nil {
				return nil, err
			}
			if err := pause(ctx, o.long); err != nil {
				return nil, err
			}
			used, err := c.rss()
			if err != nil {
				return nil, err
			}
			all, err := c.restart(ctx)
			if err != nil {
				return nil, err
			}
			one, err := c.restartOne(ctx)
			return []float64{megabyte(rest), megabyte(used), ms(all), ms(one)}, err
		},
	}
}
