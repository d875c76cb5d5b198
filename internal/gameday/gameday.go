package gameday

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"quorate/api/client"
)

// ErrUnfit says that the cluster is not whole: nothing was done to it.
var ErrUnfit = errors.New("the cluster is not whole, and is not broken on purpose")

// Cluster is the cluster as its members' APIs show it.
type Cluster interface {
	Look(ctx context.Context) (client.Cluster, error)
	// Primaries are the names of all members whose PostgreSQL says that it is a primary.
	Primaries(ctx context.Context, c client.Cluster) []string
	// Switchover returns when the candidate leads.
	Switchover(ctx context.Context, c client.Cluster, candidate string) error
	// Restart returns when the member's PostgreSQL is up again.
	Restart(ctx context.Context, m client.Member) error
}

// Host is the host that the exercise runs on, for faults that no API has.
type Host interface {
	Name() string
	// Crash kills a process of PostgreSQL, which then ends as after any crash.
	Crash(ctx context.Context) error
	// Freeze stops the agent for a time, as a host that swaps or hangs does, and lets it go on.
	Freeze(ctx context.Context, d time.Duration) error
}

// Options say what to do. All but Host and Tell are needed.
type Options struct {
	Cluster Cluster
	Host    Host // nil: no drill that needs it
	Drills  []string
	DSN     string // of a client: libpq's keywords
	// Password goes with the DSN, "" for none.
	Password    string
	Synchronous bool          // a lost commit is a failure after a crash, too
	TTL         time.Duration // of the lease
	// Planned bounds the outage of a planned change, Crash that of any other.
	Planned, Crash time.Duration
	Patience       time.Duration // until the cluster has to be whole again
	Tell           func(Result)  // called after each drill
}

// Result is what one drill came to.
type Result struct {
	Drill   string        `json:"drill"`
	Member  string        `json:"member"`  // whom it struck
	Leader  string        `json:"leader"`  // who leads after it
	Outage  time.Duration `json:"-"`       // the longest time without an acknowledged commit
	Limit   time.Duration `json:"-"`       // that it was to stay below
	Whole   time.Duration `json:"-"`       // from the fault until every member served again
	Commits int           `json:"commits"` // acknowledged in all so far
	Lost    int           `json:"lost"`    // of these
	Failed  []string      `json:"failed,omitempty"`
	Notes   []string      `json:"notes,omitempty"`
}

// drill is one fault.
type drill struct {
	name, says string
	local      bool // it strikes the host that this runs on, as the leader
	planned    bool
	strike     func(d *day, ctx context.Context, c client.Cluster) (member string, err error)
}

var drills = []drill{
	{"switchover", "the lead is handed to a replica", false, true, (*day).switchover},
	{"restart-replica", "the PostgreSQL of a replica is restarted", false, true, (*day).restartReplica},
	{"restart-primary", "the PostgreSQL of the primary is restarted in place", false, true, (*day).restartPrimary},
	{"crash", "a process of the primary's PostgreSQL is killed (on this host, which leads first)", true, false, (*day).crash},
	{"freeze", "the primary's agent is stopped for three ttl (on this host, which leads first)", true, false, (*day).freeze},
}

// Known are the drills with what they do, in the order of danger.
func Known() [][2]string {
	var out [][2]string
	for _, d := range drills {
		out = append(out, [2]string{d.name, d.says})
	}
	return out
}

// Usual are the drills of every exercise: those that a cluster goes through in any planned work.
func Usual() []string { return []string{"switchover", "restart-replica", "restart-primary"} }

// StrikesHost says whether a drill strikes the host that it runs on.
func StrikesHost(name string) bool {
	return slices.ContainsFunc(drills, func(d drill) bool { return d.name == name && d.local })
}

// day is an exercise under way.
type day struct {
	Options
	w       *witness
	members []string
}

// Run goes through the drills until one fails. The error says why there was no exercise, or what could not be put back; a drill that
// failed is in its Result.
func Run(ctx context.Context, o Options) (results []Result, err error) {
	todo, err := o.chosen()
	if err != nil {
		return nil, err
	}
	c, err := o.Cluster.Look(ctx)
	if err != nil {
		return nil, err
	}
	if all := Ailments(c, nil); len(all) > 0 {
		return nil, fmt.Errorf("%w:\n  %s", ErrUnfit, strings.Join(all, "\n  "))
	}
	if o.Host != nil && c.Member(o.Host.Name()) == nil {
		return nil, fmt.Errorf("this host (%s) is no member of the cluster: crash and freeze strike the host that they are started on", o.Host.Name())
	}
	d := &day{Options: o, members: names(c)}
	if d.w, err = newWitness(ctx, o.DSN, o.Password, time.Now()); err != nil {
		return nil, err
	}
	home := c.Leader().Name
	for _, one := range todo {
		r := d.one(ctx, one)
		results = append(results, r)
		if o.Tell != nil {
			o.Tell(r)
		}
		if len(r.Failed) > 0 {
			break
		}
	}
	return results, errors.Join(d.goHome(ctx, home), d.w.close(context.WithoutCancel(ctx)))
}

func (o *Options) chosen() ([]drill, error) {
	var out []drill
	for _, name := range o.Drills {
		n := slices.IndexFunc(drills, func(d drill) bool { return d.name == name })
		if n < 0 {
			return nil, fmt.Errorf("unknown drill %q", name)
		}
		if drills[n].local && o.Host == nil {
			return nil, fmt.Errorf("the drill %s strikes the host that it is started on: start it on a host of the cluster that has PostgreSQL", name)
		}
		out = append(out, drills[n])
	}
	return out, nil
}

// one strikes, and watches the cluster until it is whole again.
func (d *day) one(ctx context.Context, x drill) Result {
	r := Result{Drill: x.name, Limit: d.Crash}
	if x.planned {
		r.Limit = d.Planned
	}
	fail := func(format string, args ...any) { r.Failed = append(r.Failed, fmt.Sprintf(format, args...)) }
	c, err := d.whole(ctx)
	if err == nil && x.local {
		c, err = d.lead(ctx, c, d.Host.Name())
	}
	if err != nil {
		fail("not begun: %v", err)
		return r
	}
	d.w.begin()
	began := time.Now()
	if r.Member, err = x.strike(d, ctx, c); err != nil {
		fail("%v", err)
	}
	c, err = d.whole(ctx)
	if err != nil {
		fail("%v", err)
	} else {
		r.Leader, r.Whole = c.Leader().Name, time.Since(began)
	}
	if r.Outage = d.w.outage(); r.Outage > r.Limit {
		fail("no commit was acknowledged for %s", r.Outage.Round(time.Millisecond))
	}
	r.Commits, _ = d.w.acknowledges()
	if r.Lost, err = d.w.missing(ctx); err != nil {
		fail("the rows could not be counted: %v", err)
	}
	switch {
	case r.Lost > 0 && (x.planned || d.Synchronous):
		fail("%d acknowledged commits are gone", r.Lost)
	case r.Lost > 0:
		r.Notes = append(r.Notes, fmt.Sprintf("%d acknowledged commits are gone: replication is asynchronous (synchronous_mode)", r.Lost))
	}
	return r
}

// whole waits until every member serves, one of them alone as a primary, and commits are acknowledged.
func (d *day) whole(ctx context.Context) (client.Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, d.Patience)
	defer cancel()
	why := ""
	for {
		c, err := d.Cluster.Look(ctx)
		if err != nil {
			why = err.Error()
		} else if why = strings.Join(d.ailments(ctx, c), "; "); why == "" {
			return c, nil
		}
		select {
		case <-ctx.Done():
			return c, fmt.Errorf("the cluster is not whole within %s: %s", d.Patience, why)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (d *day) ailments(ctx context.Context, c client.Cluster) []string {
	out := Ailments(c, d.members)
	if len(out) > 0 {
		return out
	}
	if p := d.Cluster.Primaries(ctx, c); len(p) != 1 || p[0] != c.Leader().Name {
		out = append(out, fmt.Sprintf("%s leads, and primaries are: %s", c.Leader().Name, strings.Join(p, ", ")))
	}
	if _, err := d.w.acknowledges(); err != nil {
		out = append(out, fmt.Sprintf("the last commit failed: %v", err))
	}
	return out
}

// lead makes a member the leader, and waits until the cluster is whole under it.
func (d *day) lead(ctx context.Context, c client.Cluster, name string) (client.Cluster, error) {
	if c.Leader().Name == name {
		return c, nil
	}
	if c.Member(name).NoFailover() {
		return c, fmt.Errorf("%s may not lead: it is tagged so", name)
	}
	// What the API shows may be a second old: a replica that has just come back is not fit yet in the primary's eyes.
	for range switchTries {
		err := d.Cluster.Switchover(ctx, c, name)
		whole, ill := d.whole(ctx)
		if err == nil || ill != nil || whole.Leader().Name == name {
			return whole, ill
		}
		c = whole
		select {
		case <-ctx.Done():
			return c, ctx.Err()
		case <-time.After(time.Second):
		}
	}
	return c, d.Cluster.Switchover(ctx, c, name)
}

// switchTries is how often the lead is asked for before the refusal counts.
const switchTries = 3

// goHome gives the lead back. After a drill that failed the cluster is left as it is: an operator has to look at it.
func (d *day) goHome(ctx context.Context, home string) error {
	c, err := d.Cluster.Look(ctx)
	if err != nil || len(d.ailments(ctx, c)) > 0 {
		return nil
	}
	if _, err := d.lead(ctx, c, home); err != nil {
		return fmt.Errorf("the lead was not given back to %s: %w", home, err)
	}
	return nil
}

func (d *day) switchover(ctx context.Context, c client.Cluster) (string, error) {
	_, err := d.lead(ctx, c, successor(c))
	return c.Leader().Name, err
}

func (d *day) restartReplica(ctx context.Context, c client.Cluster) (string, error) {
	for _, m := range c.Members {
		if !m.IsLeader() {
			return m.Name, d.Cluster.Restart(ctx, m)
		}
	}
	return "", errors.New("there is no replica")
}

func (d *day) restartPrimary(ctx context.Context, c client.Cluster) (string, error) {
	return c.Leader().Name, d.Cluster.Restart(ctx, *c.Leader())
}

func (d *day) crash(ctx context.Context, c client.Cluster) (string, error) {
	if err := d.Host.Crash(ctx); err != nil {
		return "", err
	}
	return c.Leader().Name, d.w.struck(ctx)
}

// freeze is over only when somebody else has taken the lead and this host may have lost it.
func (d *day) freeze(ctx context.Context, c client.Cluster) (string, error) {
	return c.Leader().Name, d.Host.Freeze(ctx, 3*d.TTL)
}
