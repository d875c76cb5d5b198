//go:build bench

package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// failover measures how long no commit goes through after each fault.
func failover(ctx context.Context, args []string, out, progress io.Writer) error {
	var o options
	flags := o.flags("failover", progress)
	runs := flags.Int("runs", 10, "runs of each row")
	rows := flags.String("rows", "", "which rows, separated by commas (default: all)")
	if err := parse(flags, args); err != nil {
		return err
	}
	s := &session{progress: progress, runs: *runs, logs: o.logs}
	all, err := scenarios(func() *cluster { return s.cluster })
	if err != nil {
		return err
	}
	chosen, err := choose(all, list(*rows))
	if err != nil {
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
	head := describe(program, append([]string{"failover"}, args...))
	defer s.close()
	t := newTable(chosen, products)
	for _, p := range products {
		for _, sc := range chosen {
			s.suffer(ctx, p, sc, t)
		}
		s.close()
	}
	head.end()
	_, err = io.WriteString(out, head.String()+"\n"+t.String())
	return err
}

// session is one call's way through clusters: faults of one kind go over one cluster, one after the other, and after a run that failed the next ones
// begin with a new cluster.
type session struct {
	progress io.Writer
	runs     int
	logs     string
	started  int      // clusters so far, to tell their logs apart
	cluster  *cluster // nil before the first and after a failure
}

// suffer makes all runs of a scenario on a product; failures end up in the table.
func (s *session) suffer(ctx context.Context, p product, sc scenario, t *table) {
	for n := range s.runs {
		if ctx.Err() != nil {
			return
		}
		together := n%2 == 0 && !sc.apart
		m, err := s.run(ctx, p, sc, together)
		if err != nil {
			fmt.Fprintf(s.progress, "%s, %s, run %d: FAILED: %v\n", p.name, sc.name, n+1, err)
			t.fail(p, sc, err)
			s.close()
			continue
		}
		fmt.Fprintf(s.progress, "%s, %s, run %d (store's leader on the primary's host: %t): %s\n", p.name, sc.name, n+1, together, m)
		t.add(p, sc, m)
	}
}

func (s *session) run(ctx context.Context, p product, sc scenario, together bool) (measurement, error) {
	if err := s.ensure(ctx, p, sc.on); err != nil {
		return measurement{}, err
	}
	return s.cluster.measure(ctx, sc, together)
}

// ensure makes the session's cluster one of the product and kind.
func (s *session) ensure(ctx context.Context, p product, k kind) error {
	if s.cluster != nil && s.cluster.product.name == p.name && s.cluster.kind == k {
		return nil
	}
	s.close()
	logs := ""
	if s.logs != "" {
		s.started++
		logs = filepath.Join(s.logs, fmt.Sprintf("%s-%s-%d", strings.ToLower(p.name), k, s.started))
	}
	c, err := newCluster(ctx, p, k, logs)
	if err == nil {
		s.cluster = c
	}
	return err
}

func (s *session) close() {
	if s.cluster == nil {
		return
	}
	if err := s.cluster.lab.Close(); err != nil {
		fmt.Fprintln(s.progress, "closing a lab:", err)
	}
	s.cluster = nil
}
