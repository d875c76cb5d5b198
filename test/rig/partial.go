package rig

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"quorate/test/lab"
)

// PartialFaults leave a part of what they strike at work: a network that carries some of the packets, a host that stands still and goes on, processes that are stopped
// or die beside others that are not.
func PartialFaults() []Fault {
	return []Fault{
		{
			Name: "primary and standby apart", Strike: func(ctx context.Context, s Scene) error {
				return errors.Join(s.Primary.CutFrom(s.Standby), s.Standby.CutFrom(s.Primary))
			}, Mend: heal(primary),
		},
		{Name: "primary hears nobody", Loses: true, Terms: Failover, Strike: func(ctx context.Context, s Scene) error {
			return eachOther(s, func(other *lab.Host) error { return s.Primary.CutFrom(other) })
		}, Mend: heal(primary)},
		{Name: "nobody hears the primary", Loses: true, Terms: Failover, Strike: func(ctx context.Context, s Scene) error {
			return eachOther(s, func(other *lab.Host) error { return other.CutFrom(s.Primary) })
		}, Mend: heal(primary)},
		{Name: "primary loses a fifth of its packets", Loses: true, Strike: func(ctx context.Context, s Scene) error {
			return errors.Join(s.Primary.Lossy(20), wait(ctx, 8*time.Second))
		}, Mend: heal(primary)},
		{Name: "host stands still for 6 s", Loses: true, Silent: true, Strike: standsStill(6 * time.Second)},
		{Name: "host stands still for 2 s", Loses: true, Silent: true, Strike: standsStill(2 * time.Second)},
		{Name: "fence frozen", Loses: true, Silent: true, Strike: signal(unix.SIGSTOP, primary, lab.Fence), Mend: thaw(lab.Fence)},
		{Name: "backends killed", Strike: signal(unix.SIGKILL, primary, lab.Backend)},
		{Name: "standby's backends killed", Strike: signal(unix.SIGKILL, standby, lab.Backend)},
		{Name: "postmaster ended by hand", Strike: signal(unix.SIGINT, primary, lab.Postmaster)},
	}
}

func eachOther(s Scene, do func(*lab.Host) error) error {
	var errs []error
	for _, h := range s.Hosts {
		if h != s.Primary {
			errs = append(errs, do(h))
		}
	}
	return errors.Join(errs...)
}

// standsStill is what a hypervisor does to a guest that it moves, or has no time for.
func standsStill(d time.Duration) func(context.Context, Scene) error {
	return func(ctx context.Context, s Scene) error {
		return errors.Join(s.Primary.Freeze(), wait(ctx, d), s.Primary.Thaw())
	}
}

// wait is how long a fault lasts; nothing is waited for.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
