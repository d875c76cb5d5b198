package main

import (
	"context"
	"errors"
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
	over bool   // what counts is by how much the figure is over the direct one
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
		measure{name: "p99 of a ping, 16 clients", unit: "us", bare: true, less: true, over: true, goal: 1.2, run: ping},
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
	var failed []error
	fmt.Fprintf(&b, "%d rounds of %s, %s\n\n", o.rounds, o.length, s.describe())
	b.WriteString("| measure | direct | HAProxy | router | router to HAProxy | goal | |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, m := range measures(o) {
		if !o.only.MatchString(m.name) {
			continue
		}
		results, err := s.measure(ctx, m, o)
		if err != nil { // what has been measured by then, and what comes, is worth showing
			failed = append(failed, fmt.Errorf("%s: %w", m.name, err))
			fmt.Fprintf(&b, "| %s | | | | | | not measured: %v |\n", m.name, err)
			continue
		}
		writeLine(&b, m, results)
	}
	if name := "primary's change"; o.only.MatchString(name) {
		middle, worst, err := s.measureChange(ctx)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", name, err))
		}
		fmt.Fprintf(&b, "| %s to the first byte through the new one, worst of %d (median %s), ms | | | %.2f | | under %d | %s |\n",
			name, changes, middle.Round(10*time.Microsecond), float64(worst.Microseconds())/1000, changeGoal.Milliseconds(), verdict(err == nil && worst < changeGoal))
	}
	_, err = io.WriteString(out, b.String())
	return errors.Join(append(failed, err)...)
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

// cpuGoal is how much more processor time than HAProxy the router may take for the same work.
const cpuGoal = 1.3

// changeGoal bounds the time from the news of a new primary to the first byte from it.
const changeGoal = 50 * time.Millisecond

func writeLine(w io.Writer, m measure, r map[string]*result) {
	direct, ha, ours := median(r["direct"].figures), median(r["haproxy"].figures), median(r["router"].figures)
	name, ratio, what := m.name, ours/ha, ""
	if m.over {
		// The kinds of run alternate, so that a round's figures belong together.
		ratio, what = overhead(r["router"], r["direct"])/overhead(r["haproxy"], r["direct"]), " (what they add)"
	}
	relation, pass := "at least", ratio >= m.goal
	if m.less {
		relation, pass = "at most", ratio <= m.goal
	}
	_, _ = fmt.Fprintf(w, "| %s, %s | %.1f | %.1f | %.1f | %.2f%s | %s %.1f | %s |\n", name, m.unit, direct, ha, ours, ratio, what, relation, m.goal, verdict(pass))
	if haCPU, ourCPU := median(r["haproxy"].cpu), median(r["router"].cpu); haCPU > 0 {
		_, _ = fmt.Fprintf(w, "| its CPU time, us for each unit of work | | %.1f | %.1f | %.2f | at most %.1f | %s |\n",
			haCPU, ourCPU, ourCPU/haCPU, cpuGoal, verdict(ourCPU/haCPU <= cpuGoal))
	}
}

// overhead is the median of what a way adds to the direct one, at least the clock's own noise.
func overhead(way, direct *result) float64 {
	added := make([]float64, len(way.figures))
	for i := range added {
		added[i] = way.figures[i] - direct.figures[i]
	}
	return max(median(added), 1)
}

func verdict(pass bool) string {
	if pass {
		return "reached"
	}
	return "MISSED"
}
