package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// measure is one line of the table. run takes the address that clients connect to and returns how much work was done; what it cost the
// process in between is read around it.
type measure struct {
	name string
	unit string // of the figure
	less bool   // the smaller the better
	bare bool   // against the bare backend, not PostgreSQL
	goal float64
	run  func(ctx context.Context, s *stage, addr string, length time.Duration) (figure, work float64, err error)
}

func measures(o options) []measure {
	list := []measure{}
	for _, clients := range []int{1, 16, 64} {
		list = append(list, measure{
			name: fmt.Sprintf("pgbench -S, %d clients", clients), unit: "tx/s", goal: 0.9,
			run: func(ctx context.Context, s *stage, addr string, d time.Duration) (float64, float64, error) {
				return s.pgbench(ctx, addr, clients, d, false)
			},
		})
	}
	return append(list,
		measure{name: "pgbench -S -C, 8 clients", unit: "tx/s", goal: 1, run: func(ctx context.Context, s *stage, addr string, d time.Duration) (float64, float64, error) {
			return s.pgbench(ctx, addr, 8, d, true)
		}},
		measure{name: "connections, bare backend", unit: "1/s", bare: true, goal: 1, run: connections},
		measure{name: "bulk down, 1 stream", unit: "MB/s", bare: true, goal: 1, run: bulk(1)},
		measure{name: "bulk down, 8 streams", unit: "MB/s", bare: true, goal: 1, run: bulk(8)},
		measure{name: "p99 of a ping, 16 clients", unit: "us", bare: true, less: true, goal: 1.2, run: ping},
		measure{name: fmt.Sprintf("memory of %d idle sessions", o.idle), unit: "MB", bare: true, less: true, goal: 1.5, run: idle(o.idle)},
	)
}

// result is what one way (direct, HAProxy, the router) did in one measure.
type result struct{ figures, cpu []float64 }

func (r *result) add(figure, cpu float64) {
	r.figures, r.cpu = append(r.figures, figure), append(r.cpu, cpu)
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

func measureAll(ctx context.Context, o options, out, progress io.Writer) error {
	s, err := newStage(ctx, progress)
	if err != nil {
		return err
	}
	defer s.close()
	var b strings.Builder
	fmt.Fprintf(&b, "%d rounds of %s, %s\n\n", o.rounds, o.length, s.describe())
	b.WriteString("| measure | direct | HAProxy | router | router to HAProxy | goal | CPU us per unit of work: HAProxy | router | ratio |\n")
	b.WriteString("| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, m := range measures(o) {
		if !o.only.MatchString(m.name) {
			continue
		}
		results, err := s.measure(ctx, m, o)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		writeLine(&b, m, results)
	}
	if name := "primary's change"; o.only.MatchString(name) {
		middle, worst, err := s.measureChange(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(&b, "\nFrom the news of a new primary to its first byte at a waiting client, %d times: median %s, worst %s (goal: under 50 ms).\n",
			changes, middle.Round(10*time.Microsecond), worst.Round(10*time.Microsecond))
	}
	_, err = io.WriteString(out, b.String())
	return err
}

// ways are how a client may reach the backend.
var ways = []string{"direct", "haproxy", "router"}

// measure runs the ways in turn, round by round, so that what disturbs the machine disturbs all of them.
func (s *stage) measure(ctx context.Context, m measure, o options) (map[string]*result, error) {
	results := map[string]*result{}
	for round := range o.rounds {
		for _, way := range ways {
			if results[way] == nil {
				results[way] = &result{}
			}
			p := s.processOf(way)
			before := p.cpu()
			figure, work, err := m.run(ctx, s, s.address(way, m.bare), o.length)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", way, err)
			}
			cost := 0.0
			if work > 0 {
				cost = float64((p.cpu() - before).Microseconds()) / work
			}
			results[way].add(figure, cost)
			_, _ = fmt.Fprintf(s.progress, "%s, round %d, %s: %.1f %s\n", m.name, round+1, way, figure, m.unit)
		}
	}
	return results, nil
}

func writeLine(w *strings.Builder, m measure, r map[string]*result) {
	direct, ha, ours := median(r["direct"].figures), median(r["haproxy"].figures), median(r["router"].figures)
	relation := "at least"
	if m.less {
		relation = "at most"
	}
	cost := " | | "
	if haCPU, ourCPU := median(r["haproxy"].cpu), median(r["router"].cpu); haCPU > 0 {
		cost = fmt.Sprintf("%.1f | %.1f | %.2f", haCPU, ourCPU, ourCPU/haCPU)
	}
	fmt.Fprintf(w, "| %s, %s | %.1f | %.1f | %.1f | %.2f | %s %.1f | %s |\n", m.name, m.unit, direct, ha, ours, ours/ha, relation, m.goal, cost)
}
