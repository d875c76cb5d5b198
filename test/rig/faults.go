package rig

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"quorate/test/check/writer"
	"quorate/test/lab"
)

// Breakable is a cluster whose parts can be stopped and started.
type Breakable interface {
	Cluster
	Agent() lab.Role                       // the failover manager's process
	StartAgent(*lab.Host) error            // after its death
	StartHost(*lab.Host) error             // after a boot
	SyncStandby(context.Context) *lab.Host // nil: the primary waits for nobody
	Switchover(ctx context.Context, from, to *lab.Host) error
}

// Scene is what a fault strikes.
type Scene struct {
	Cluster Breakable
	Hosts   []*lab.Host
	Primary *lab.Host
	Standby *lab.Host // another database host; the synchronous one if there is one
}

// Look finds the scene as it is.
func Look(ctx context.Context, c Breakable, hosts []*lab.Host) (Scene, error) {
	s := Scene{Cluster: c, Hosts: hosts, Primary: c.Primary(ctx), Standby: c.SyncStandby(ctx)}
	if s.Primary == nil {
		return s, errors.New("rig: nobody is primary")
	}
	for _, h := range hosts {
		if s.Standby == nil && h != s.Primary {
			s.Standby = h
		}
	}
	return s, nil
}

// Fault strikes a healthy cluster once.
type Fault struct {
	Name    string
	Prepare func(context.Context, Scene) error // before the writers start; may change who leads; nothing if nil
	Strike  func(context.Context, Scene) error
	Mend    func(context.Context, Scene) error // what a person or a boot does afterwards; nothing if nil
	Terms   Expectation
	Silent  bool // what is struck cannot answer its clients before the mend
	Loses   bool // without synchronous replication, it may end with a primary that lacks acknowledged commits
	// Excused says after the strike that the machine was too slow for Terms to be demanded; never, if nil.
	Excused func() bool
}

// Expectation says whether a fault may, must or must not end a term.
type Expectation int

// The expectations.
const (
	Either Expectation = iota
	Failover
	NoFailover // and no session of the primary ends
)

// signal makes a strike that signals the first host's processes of all given roles at once.
func signal(sig unix.Signal, where func(Scene) *lab.Host, roles ...lab.Role) func(context.Context, Scene) error {
	return func(_ context.Context, s Scene) error { return where(s).Signal(sig, roles...) }
}

func primary(s Scene) *lab.Host { return s.Primary }
func standby(s Scene) *lab.Host { return s.Standby }

func startAgent(_ context.Context, s Scene) error { return s.Cluster.StartAgent(s.Primary) }

// thaw lets stopped processes of a role go on; those that were killed meanwhile need nothing.
func thaw(role lab.Role) func(context.Context, Scene) error {
	return func(_ context.Context, s Scene) error {
		err := s.Primary.Signal(unix.SIGCONT, role)
		if errors.Is(err, lab.ErrNoProcess) {
			return nil
		}
		return err
	}
}

// powerOff and boot are a host's loss and return.
func powerOff(where func(Scene) *lab.Host) func(context.Context, Scene) error {
	return func(_ context.Context, s Scene) error { return where(s).PowerOff() }
}

func boot(where func(Scene) *lab.Host) func(context.Context, Scene) error {
	return func(_ context.Context, s Scene) error {
		return errors.Join(where(s).PowerOn(), s.Cluster.StartHost(where(s)))
	}
}

func cut(where func(Scene) *lab.Host) func(context.Context, Scene) error {
	return func(_ context.Context, s Scene) error { return where(s).Cut() }
}

func heal(where func(Scene) *lab.Host) func(context.Context, Scene) error {
	return func(_ context.Context, s Scene) error { return where(s).Heal() }
}

// agentOf is the cluster's agent as a role; it is known only with the scene.
func agent(sig unix.Signal) func(context.Context, Scene) error {
	return func(_ context.Context, s Scene) error { return s.Primary.Signal(sig, s.Cluster.Agent()) }
}

// Faults are those that any cluster of this kind must survive.
func Faults() []Fault {
	return []Fault{
		{Name: "switchover", Terms: Failover, Strike: func(ctx context.Context, s Scene) error {
			return s.Cluster.Switchover(ctx, s.Primary, s.Standby)
		}},
		{Name: "postmaster killed", Strike: signal(unix.SIGKILL, primary, lab.Postmaster)},
		{Name: "postmaster frozen", Loses: true, Strike: signal(unix.SIGSTOP, primary, lab.Postmaster), Mend: thaw(lab.Postmaster)},
		{Name: "agent killed", Terms: Failover, Strike: agent(unix.SIGKILL), Mend: startAgent},
		{Name: "agent frozen", Loses: true, Terms: Failover, Strike: agent(unix.SIGSTOP), Mend: func(_ context.Context, s Scene) error {
			return s.Primary.Signal(unix.SIGCONT, s.Cluster.Agent())
		}},
		{Name: "host lost", Loses: true, Terms: Failover, Strike: powerOff(primary), Mend: boot(primary)},
		{Name: "primary cut off", Loses: true, Terms: Failover, Strike: cut(primary), Mend: heal(primary)},
		{Name: "replica cut off", Terms: NoFailover, Strike: cut(standby), Mend: heal(standby)},
		{Name: "replica lost", Terms: NoFailover, Strike: powerOff(standby), Mend: boot(standby)},
	}
}

// DiskHangs stops the primary's database disk for so long that nobody waits for it. The hosts need disks (lab.DatabaseDisk).
func DiskHangs() Fault {
	return Fault{
		Name: "disk hangs", Terms: Failover,
		Strike: onDisk(func(d *lab.Disk) error { return d.Hang(10 * time.Minute) }),
		Mend:   onDisk((*lab.Disk).Thaw),
	}
}

// DiskFills takes all room on the primary's database disk but so many megabytes. The hosts need disks (lab.DatabaseDisk).
func DiskFills(leave int64) Fault {
	return Fault{
		Name: fmt.Sprintf("disk fills up, %d MB left", leave), Terms: Failover,
		Strike: onDisk(func(d *lab.Disk) error { return d.Fill(leave << 20) }),
		Mend:   onDisk((*lab.Disk).Free),
	}
}

// onDisk does something to the database disk of the scene's primary.
func onDisk(do func(*lab.Disk) error) func(context.Context, Scene) error {
	return func(_ context.Context, s Scene) error {
		if d := s.Primary.Disk(lab.DatabaseDisk); d != nil {
			return do(d)
		}
		return fmt.Errorf("rig: %s has no disk of its own for its database", s.Primary.Name)
	}
}

// PostmasterKilledAfter kills the postmaster when there is much to replay: so many megabytes of WAL since the last checkpoint. The cluster's max_wal_size and
// checkpoint_timeout must leave room for it.
func PostmasterKilledAfter(client *lab.Host, megabytes int) Fault {
	return Fault{
		Name: fmt.Sprintf("postmaster killed with %d MB of WAL", megabytes),
		Prepare: func(ctx context.Context, s Scene) error {
			return writer.FillWAL(ctx, s.Cluster.Target(), client.Dial, megabytes)
		},
		Strike: signal(unix.SIGKILL, primary, lab.Postmaster),
	}
}

// FenceFaults are those of a cluster whose PostgreSQL has a fence (lab.Fence) for a parent.
func FenceFaults() []Fault {
	return []Fault{
		agentBack(),
		{Name: "fence killed", Strike: signal(unix.SIGKILL, primary, lab.Fence)},
		{Name: "agent and fence killed", Loses: true, Terms: Failover, Strike: signal(unix.SIGKILL, primary, lab.Agent, lab.Fence), Mend: startAgent},
	}
}

// agentBack kills the agent and starts it again. What is promised for an agent that leads again within a second cannot be demanded of one that a busy machine
// did not let start in that time.
func agentBack() Fault {
	const promised = time.Second
	var took time.Duration
	return Fault{
		Name: "agent killed and back within a second", Terms: NoFailover,
		Strike: func(ctx context.Context, s Scene) error {
			begin := time.Now()
			if err := errors.Join(agent(unix.SIGKILL)(ctx, s), s.Cluster.StartAgent(s.Primary)); err != nil {
				return err
			}
			for s.Cluster.Primary(ctx) != s.Primary && time.Since(begin) < promised {
				time.Sleep(10 * time.Millisecond)
			}
			took = time.Since(begin)
			return nil
		},
		Excused: func() bool { return took >= promised },
	}
}

// storeLeader is a cluster that can say where its consensus leader is.
type storeLeader interface {
	RaftLeader(context.Context) *lab.Host
}

// StoreFaults strike the store's leader on another host than the primary's: no reason to change the primary, nor to interrupt it for longer than a synchronous
// standby on that host does.
func StoreFaults() []Fault {
	var leader *lab.Host
	strike := func(how func(*lab.Host) error) func(context.Context, Scene) error {
		return func(ctx context.Context, s Scene) (err error) {
			if leader, err = s.storeLeader(ctx); err != nil {
				return err
			}
			if leader == s.Primary {
				return errors.New("rig: the store's leader is on the primary's host")
			}
			return how(leader)
		}
	}
	struck := func(Scene) *lab.Host { return leader }
	thawed := func(context.Context, Scene) error { return leader.Thaw() }
	return []Fault{
		{Name: "store leader lost", Terms: NoFailover, Prepare: Apart, Strike: strike((*lab.Host).PowerOff), Mend: boot(struck)},
		{Name: "store leader cut off", Terms: NoFailover, Prepare: Apart, Strike: strike((*lab.Host).Cut), Mend: heal(struck)},
		{Name: "store leader frozen", Terms: NoFailover, Silent: true, Prepare: Apart, Strike: strike((*lab.Host).Freeze), Mend: thawed},
	}
}

func (s Scene) storeLeader(ctx context.Context) (*lab.Host, error) {
	store, ok := s.Cluster.(storeLeader)
	if !ok {
		return nil, errors.New("rig: this cluster cannot say where its store's leader is")
	}
	leader := store.RaftLeader(ctx)
	if leader == nil {
		return nil, errors.New("rig: the store has no leader")
	}
	return leader, nil
}

// Apart hands the primary over to another host if it is where the store's leader is; Together does the contrary. Both do nothing to a cluster that cannot say.
func Apart(ctx context.Context, s Scene) error { return s.place(ctx, false) }

// Together: see Apart.
func Together(ctx context.Context, s Scene) error { return s.place(ctx, true) }

func (s Scene) place(ctx context.Context, together bool) error {
	leader, err := s.storeLeader(ctx)
	if err != nil || (leader == s.Primary) == together {
		return nil
	}
	to := s.Standby // anywhere but here; the synchronous standby, since only that may be handed the lead in synchronous mode
	if together {
		to = leader
	}
	if err := s.Cluster.Switchover(ctx, s.Primary, to); err != nil {
		return err
	}
	return s.Cluster.AwaitHealthy(ctx)
}

// AllKilled kills every process of every database host at once and boots the hosts in the given order, each a moment after the one before.
func AllKilled(order []int) Fault {
	return Fault{Name: fmt.Sprintf("all killed, started as %v", order), Strike: func(ctx context.Context, s Scene) error {
		for _, h := range s.Hosts {
			if err := h.PowerOff(); err != nil {
				return err
			}
		}
		for _, i := range order {
			h := s.Hosts[i]
			if err := errors.Join(h.PowerOn(), s.Cluster.StartHost(h)); err != nil {
				return err
			}
			if err := wait(ctx, 300*time.Millisecond); err != nil { // so that the order is one; nothing waits for it to be long enough
				return err
			}
		}
		return nil
	}}
}
