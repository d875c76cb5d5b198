// Package gather finds out the facts that the doctor's rules judge: it looks at disks, clocks, /proc, certificates, members and servers. It
// changes nothing but for one small file on each disk whose speed it measures, which it removes.
package gather

import (
	"context"
	"fmt"
	"sync"
	"time"

	"quorate/api/client"
	"quorate/internal/config"
	"quorate/internal/doctor"
)

// Options say where to look.
type Options struct {
	Config *config.Config
	// Client reaches the members; the doctor asks whom it names first.
	Client *client.Client
	// SyncFor bounds the measurement of each disk; 2 s.
	SyncFor time.Duration
	// Proc and Sys are /proc and /sys; for tests.
	Proc, Sys string
	// Etc is /etc; for tests.
	Etc string
}

// gatherer holds what the parts share.
type gatherer struct {
	Options
	mu   sync.Mutex
	gone []string
}

// missed notes what could not be looked at.
func (g *gatherer) missed(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gone = append(g.gone, fmt.Sprintf(format, args...))
}

// Gather takes a few seconds at most: everything that may hang is bounded. What could not be had is noted in the facts.
func Gather(ctx context.Context, o Options) *doctor.Facts {
	if o.SyncFor <= 0 {
		o.SyncFor = 2 * time.Second
	}
	for _, d := range []struct {
		at  *string
		def string
	}{{&o.Proc, "/proc"}, {&o.Sys, "/sys"}, {&o.Etc, "/etc"}} {
		if *d.at == "" {
			*d.at = d.def
		}
	}
	g := &gatherer{Options: o}
	c := o.Config
	f := &doctor.Facts{
		Now: time.Now(), Name: c.Name, Scope: c.Scope, OwnEtcd: c.Etcd == nil, Expect: c.Store.Expect,
		Roles:    doctor.Roles{Store: c.Roles.Store, Postgres: c.Roles.Postgres, Proxy: c.Roles.Proxy},
		Watchdog: g.watchdog(), Kernel: g.kernel(), Clock: g.clock(), Files: g.certificates(),
	}
	var wg sync.WaitGroup
	for _, part := range []func(){
		func() { f.Folders = g.folders(ctx) },
		func() { f.Data = g.data(ctx) },
		func() { f.Postmasters, f.Processes, f.Listeners = g.processes() },
		func() { f.Units = g.units() },
		func() { f.Cluster = g.cluster(ctx); f.Reach = g.reach(ctx, f.Cluster) },
	} {
		wg.Go(part)
	}
	wg.Wait()
	f.Gone = g.gone
	return f
}
