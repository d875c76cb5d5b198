package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"quorate/api/client"
	"quorate/internal/config"
	"quorate/internal/config/dynamic"
	"quorate/internal/ctl"
	"quorate/internal/gameday"
)

func init() { constructors = append(constructors, newGameDayCmd) }

// gameDay is what the command was told.
type gameDay struct {
	drills   []string
	dsn      string
	planned  time.Duration
	crash    time.Duration
	patience time.Duration
	force    bool
	format   string
}

func newGameDayCmd(a *app) *cobra.Command {
	var g gameDay
	c := &cobra.Command{
		Use:   "game-day [CLUSTER]",
		Short: "Break a cluster in service on purpose, and report what its clients saw",
		Long: `Strike a cluster in service with one fault after the other, and report what a client saw of each: the longest time without an acknowledged
commit, acknowledged commits that are gone, and how long it took until every member served again.

It begins only when every member runs and follows, one of them could take over, and nothing is paused or scheduled; it goes on only
when that is so again, and stops at the first drill that fails. The client commits one row every 10 ms in a table of its own
(public.quorate_game_day_<time>), which is dropped at the end. At the end the lead goes back to where it was.

It runs on a host of the cluster, whose configuration tells who the superuser is; --dsn names another client. crash and freeze strike
the host that the command is started on, after a switchover to it: they need root.

Drills, in the order of danger:
` + drillList() + `

Exit status: 0 all passed, 1 one failed or the cluster is not whole, 2 a wrong command line.`,
		Args: atMost(1),
		RunE: func(c *cobra.Command, args []string) error { return a.gameDay(c.Context(), firstOf(args), g) },
	}
	c.Flags().StringSliceVar(&g.drills, "drills", gameday.Usual(), "which drills, in this order")
	c.Flags().StringVar(&g.dsn, "dsn", "", "how the client connects, as libpq's keywords or URI: through a router, for example")
	c.Flags().DurationVar(&g.planned, "planned", 3*time.Second, "how long a planned change may keep commits waiting")
	c.Flags().DurationVar(&g.crash, "crash", 0, "how long any other fault may (default: two ttl and 5 s)")
	c.Flags().DurationVar(&g.patience, "patience", 2*time.Minute, "how long the cluster may take to be whole again")
	c.Flags().StringVarP(&g.format, "format", "f", "pretty", "pretty, or json")
	forceFlag(c, &g.force)
	a.globalFlags(c)
	return c
}

func drillList() string {
	var b strings.Builder
	for _, d := range gameday.Known() {
		fmt.Fprintf(&b, "  %-16s %s\n", d[0], d[1])
	}
	return strings.TrimRight(b.String(), "\n")
}

func (a *app) gameDay(ctx context.Context, scope string, g gameDay) error {
	if g.format != "pretty" && g.format != "json" {
		return usageError{fmt.Errorf("unknown format %q: expected pretty or json", g.format)}
	}
	s, err := a.connect(scope)
	if err != nil {
		return err
	}
	c, err := s.cluster(ctx)
	if err != nil {
		return err
	}
	if g.format == "pretty" {
		s.show(c)
	}
	// The cluster's state before everything else: one that is ill shall hear that, and not of a password that is missing.
	if all := gameday.Ailments(c.Cluster, nil); len(all) > 0 {
		return fmt.Errorf("%w:\n  %s", gameday.ErrUnfit, strings.Join(all, "\n  "))
	}
	o, err := s.gameDayOptions(ctx, c, g)
	if err != nil {
		return err
	}
	if !g.force {
		question := fmt.Sprintf("Are you sure you want to strike cluster %s, which is in service, by: %s?", c.Name, strings.Join(g.drills, ", "))
		if err := s.agree(question, "aborted game-day"); err != nil {
			return err
		}
	}
	if g.format == "pretty" {
		o.Tell = func(r gameday.Result) { fmt.Fprint(s.out, resultText(r)) }
	}
	results, err := gameday.Run(ctx, o)
	if g.format == "json" {
		if err := s.gameDayJSON(results); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(results, func(r gameday.Result) bool { return len(r.Failed) > 0 }) {
		return errFailed
	}
	return nil
}

// gameDayOptions are those of the exercise: who the client is comes from this host's own configuration.
func (s *session) gameDayOptions(ctx context.Context, c ctl.Cluster, g gameDay) (gameday.Options, error) {
	shared, err := s.sharedConfig(ctx, c)
	if err != nil {
		return gameday.Options{}, err
	}
	set, _ := dynamic.Parse(shared, s.profile())
	o := gameday.Options{
		Cluster: struckCluster{s}, Drills: g.drills, DSN: g.dsn, Synchronous: set.SynchronousMode.Enabled(), TTL: set.TTL,
		Planned: g.planned, Crash: cmp.Or(g.crash, 2*set.TTL+5*time.Second), Patience: g.patience,
	}
	local := slices.ContainsFunc(g.drills, gameday.StrikesHost)
	if g.dsn != "" && !local {
		return o, nil
	}
	own, err := s.ownConfig(nil)
	if err != nil {
		return o, fmt.Errorf("who connects is in a host's own configuration (or --dsn): %w", err)
	}
	if own.Roles.Postgres {
		o.Host = gameday.Local{Member: own.Name, DataDir: own.PostgreSQL.DataDir}
	}
	if !local {
		o.Host = nil
	}
	if g.dsn == "" {
		o.DSN, o.Password = clientDSN(c, own.PostgreSQL.Superuser), own.PostgreSQL.Superuser.Password
	}
	return o, nil
}

// clientDSN names all members, as applications without a router do.
func clientDSN(c ctl.Cluster, who config.Credentials) string {
	var hosts, ports []string
	for _, m := range c.Members {
		hosts, ports = append(hosts, m.Host), append(ports, strconv.Itoa(m.Port))
	}
	quote := func(v string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) + "'" }
	dsn := "host=" + strings.Join(hosts, ",") + " port=" + strings.Join(ports, ",") + " target_session_attrs=read-write dbname=postgres user=" +
		quote(cmp.Or(who.Username, "postgres")) + " sslmode=" + cmp.Or(who.SSLMode, "prefer")
	for _, s := range [][2]string{{"sslcert", who.SSLCert}, {"sslkey", who.SSLKey}, {"sslrootcert", who.SSLRootCert}, {"sslpassword", who.SSLPassword}} {
		if s[1] != "" {
			dsn += " " + s[0] + "=" + quote(s[1])
		}
	}
	return dsn
}

// struckCluster is the cluster behind the members' APIs.
type struckCluster struct{ *session }

func (s struckCluster) Look(ctx context.Context) (client.Cluster, error) {
	c, err := s.cluster(ctx)
	return c.Cluster, err
}

func (s struckCluster) Primaries(ctx context.Context, c client.Cluster) []string {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	found := make([]bool, len(c.Members))
	var wg sync.WaitGroup
	for i, m := range c.Members {
		wg.Go(func() {
			st, err := s.client.Status(ctx, m.APIURL)
			found[i] = err == nil && (st.Role == "primary" || st.Role == "master" || st.Role == "promoted")
		})
	}
	wg.Wait()
	var out []string
	for i, m := range c.Members {
		if found[i] {
			out = append(out, m.Name)
		}
	}
	return out
}

func (s struckCluster) Switchover(ctx context.Context, c client.Cluster, candidate string) error {
	l := c.Leader()
	return s.order(ctx, *l, "/switchover", map[string]any{"leader": l.Name, "candidate": candidate})
}

func (s struckCluster) Restart(ctx context.Context, m client.Member) error {
	return s.order(ctx, m, "/restart", map[string]any{})
}

func (s struckCluster) order(ctx context.Context, m client.Member, path string, body map[string]any) error {
	r, err := s.client.Do(ctx, m.APIURL, http.MethodPost, path, body)
	if err == nil && r.Code != http.StatusOK {
		err = fmt.Errorf("status code=%d, (%s)", r.Code, r.Text())
	}
	if err != nil {
		return fmt.Errorf("%s of %s: %w", strings.TrimPrefix(path, "/"), net.JoinHostPort(m.Host, strconv.Itoa(m.Port)), err)
	}
	return nil
}

func resultText(r gameday.Result) string {
	verdict := "passed"
	if len(r.Failed) > 0 {
		verdict = "FAILED"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %-16s %s: no commit for %s at most (limit %s), whole again after %s, %d of %d acknowledged commits lost, leader %s\n", verdict, r.Drill,
		cmp.Or(r.Member, "-"), r.Outage.Round(time.Millisecond), r.Limit, r.Whole.Round(time.Millisecond), r.Lost, r.Commits, cmp.Or(r.Leader, "unknown"))
	for _, why := range append(slices.Clone(r.Failed), r.Notes...) {
		fmt.Fprintf(&b, "        -> %s\n", why)
	}
	return b.String()
}

// gameDayJSON writes the report for programs; durations are in milliseconds.
func (s *session) gameDayJSON(results []gameday.Result) error {
	type line struct {
		gameday.Result
		Passed  bool  `json:"passed"`
		Outage  int64 `json:"outage_ms"`
		Limit   int64 `json:"limit_ms"`
		WholeMS int64 `json:"whole_ms"`
	}
	out := []line{}
	for _, r := range results {
		out = append(out, line{r, len(r.Failed) == 0, r.Outage.Milliseconds(), r.Limit.Milliseconds(), r.Whole.Milliseconds()})
	}
	b, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return errors.Join(errors.New("the report"), err)
	}
	fmt.Fprintf(s.out, "%s\n", b)
	return nil
}
