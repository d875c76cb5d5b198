//go:build bench

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	gosync "sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"quorate/test/lab"
	"quorate/test/lab/haapi"
)

// The load and the targets of the measurement of the API.
const (
	connections   = 64
	frozenRate    = 1000 // requests a second
	timesPatroni  = 20
	frozenTarget  = 10 * time.Millisecond
	changesTarget = time.Second
)

// apiOptions are the flags of `bench api`.
type apiOptions struct {
	options
	long    time.Duration
	changes int
}

// apiFigures are what one product's cluster gave.
type apiFigures struct {
	name    string
	health  replies
	frozen  replies
	changes []time.Duration
}

// api measures how much the REST API bears, what a hung PostgreSQL does to its answers, and how soon a change of the configuration is in force.
func api(ctx context.Context, args []string, out, progress io.Writer) error {
	var o apiOptions
	flags := o.flags("api", progress)
	flags.DurationVar(&o.long, "for", 20*time.Second, "how long each load lasts")
	flags.IntVar(&o.changes, "changes", 10, "how often the configuration is changed")
	if err := parse(flags, args); err != nil {
		return err
	}
	if err := calm(o.busy); err != nil {
		return err
	}
	products, program, done, err := products(ctx, o.options)
	defer done()
	if err != nil {
		return err
	}
	h := describe(program, append([]string{"api"}, args...))
	var all []apiFigures
	for _, p := range products {
		f, err := measureAPI(ctx, p, o, progress)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		all = append(all, f)
	}
	h.end()
	_, err = io.WriteString(out, h.String()+"\n"+apiTable(all, o))
	return err
}

func measureAPI(ctx context.Context, p product, o apiOptions, progress io.Writer) (apiFigures, error) {
	f := apiFigures{name: p.name}
	logs := o.logs
	if logs != "" {
		logs = filepath.Join(logs, p.name)
	}
	c, err := newCluster(ctx, p, async, logs)
	if err != nil {
		return f, err
	}
	defer c.lab.Close()
	primary := c.Primary(ctx)
	if primary == nil {
		return f, errors.New("nobody is primary")
	}
	make := func() *asker { return newAsker(c.client, primary, "/primary") }
	f.health = closedLoop(ctx, connections, o.long, make)
	fmt.Fprintf(progress, "%s: %d answers in %s, %d failed (%v), p99 %s\n",
		p.name, len(f.health.took), f.health.long.Round(time.Second), f.health.failed, f.health.why, millis(f.health.percentile(99)))
	if f.changes, err = c.changeConfig(ctx, o.changes); err != nil {
		return f, err
	}
	fmt.Fprintf(progress, "%s: changes took %v\n", p.name, f.changes)
	f.frozen, err = c.askFrozen(ctx, primary, o.long, make)
	fmt.Fprintf(progress, "%s: PostgreSQL frozen: %d answers, %d without one (%v)\n", p.name, len(f.frozen.took), f.frozen.failed, f.frozen.why)
	return f, err
}

// askFrozen stops the primary's PostgreSQL whole under a steady load. The cluster is paused meanwhile: what is measured is the API, not a failover.
func (c *cluster) askFrozen(ctx context.Context, primary *lab.Host, long time.Duration, make func() *asker) (replies, error) {
	a := haapi.API{Client: c.client, Hosts: c.hosts}
	if code, body, err := a.Call(ctx, primary, http.MethodPatch, "/config", []byte(`{"pause": true}`)); err != nil || code != http.StatusOK {
		return replies{}, fmt.Errorf("pause: %d %s: %w", code, body, err)
	}
	if err := pause(ctx, settle); err != nil {
		return replies{}, err
	}
	if err := primary.Signal(unix.SIGSTOP, lab.Postmaster, lab.Backend); err != nil {
		return replies{}, err
	}
	l := openLoop(ctx, connections, frozenRate, long, make)
	return l, primary.Signal(unix.SIGCONT, lab.Postmaster, lab.Backend)
}

// changeConfig changes a parameter of PostgreSQL by one host's API, and measures until all hosts' PostgreSQL shows it.
func (c *cluster) changeConfig(ctx context.Context, times int) ([]time.Duration, error) {
	a := haapi.API{Client: c.client, Hosts: c.hosts}
	var all []time.Duration
	for i := range times {
		value := fmt.Sprintf("%dkB", 5001+i) // not a multiple of a MB, so that it is shown as it was written
		begin := time.Now()
		code, body, err := a.Call(ctx, c.hosts[i%len(c.hosts)], http.MethodPatch, "/config", fmt.Appendf(nil, `{"postgresql": {"parameters": {"work_mem": %q}}}`, value))
		if err != nil || code != http.StatusOK {
			return all, fmt.Errorf("PATCH /config: %d %s: %w", code, body, err)
		}
		if err := c.awaitParameter(ctx, "work_mem", value); err != nil {
			return all, err
		}
		all = append(all, time.Since(begin))
	}
	return all, nil
}

// awaitParameter asks every host's PostgreSQL on a session of its own until it shows the value.
func (c *cluster) awaitParameter(ctx context.Context, name, value string) error {
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	errs := make([]error, len(c.hosts))
	var running gosync.WaitGroup
	for i, h := range c.hosts {
		running.Go(func() { errs[i] = c.awaitOn(ctx, h, name, value) })
	}
	running.Wait()
	return errors.Join(errs...)
}

func (c *cluster) awaitOn(ctx context.Context, h *lab.Host, name, value string) error {
	config, err := pgx.ParseConfig(c.Direct(h))
	if err != nil {
		return err
	}
	config.DialFunc = c.client.Dial
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for {
		var found string
		if err := conn.QueryRow(ctx, "SHOW "+name).Scan(&found); err != nil {
			return fmt.Errorf("%s of %s: %w", name, h.Name, err)
		}
		if found == value {
			return nil
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return fmt.Errorf("%s of %s is %s, not %s: %w", name, h.Name, found, value, err)
		}
	}
}

// apiTable shows the figures, ours first, with the targets.
func apiTable(all []apiFigures, o apiOptions) string {
	var b strings.Builder
	b.WriteString("| measure |")
	for _, f := range all {
		fmt.Fprintf(&b, " %s |", f.name)
	}
	b.WriteString(" target | met |\n| --- |" + strings.Repeat(" --- |", len(all)+2) + "\n")
	line := func(title string, show func(apiFigures) string, target, met string) {
		fmt.Fprintf(&b, "| %s |", title)
		for _, f := range all {
			fmt.Fprintf(&b, " %s |", show(f))
		}
		fmt.Fprintf(&b, " %s | %s |\n", target, met)
	}
	ours := all[0]
	rate, rateMet := fmt.Sprintf("%d times Patroni's", timesPatroni), "-"
	if len(all) > 1 {
		times := ours.health.perSecond() / all[1].health.perSecond()
		rateMet = fmt.Sprintf("%s (%.0f times)", yes(times >= timesPatroni && ours.health.failed == 0), times)
	}
	line(fmt.Sprintf("GET /primary a second on %d connections, for %s", connections, o.long),
		func(f apiFigures) string { return fmt.Sprintf("%.0f%s", f.health.perSecond(), unanswered(f.health)) }, rate, rateMet)
	line("the same: p99", func(f apiFigures) string { return millis(f.health.percentile(99)) }, "-", "-")
	p99 := ours.frozen.percentile(99)
	line(fmt.Sprintf("p99 at %d requests a second while PostgreSQL is frozen, for %s", frozenRate, o.long),
		func(f apiFigures) string { return millis(f.frozen.percentile(99)) + unanswered(f.frozen) },
		millis(frozenTarget), yes(p99 >= 0 && p99 <= frozenTarget && ours.frozen.failed == 0))
	line(fmt.Sprintf("configuration change on one node to applied on all three: worst of %d", o.changes),
		func(f apiFigures) string { return millis(worst(f.changes)) }, millis(changesTarget),
		yes(len(ours.changes) > 0 && worst(ours.changes) <= changesTarget))
	line("the same: median", func(f apiFigures) string { return millis(median(f.changes)) }, "-", "-")
	return b.String()
}

// unanswered says how many requests had no answer, if any.
func unanswered(l replies) string {
	if l.failed == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d without an answer)", l.failed)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// millis of a negative duration says that there is no such figure: too many requests had no answer.
func millis(d time.Duration) string {
	if d < 0 {
		return "none"
	}
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
