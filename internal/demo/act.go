package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"syscall"
)

// act is something that the demo does to the cluster.
type act struct {
	key  byte
	name string // as the key's legend shows it
	do   func(*Demo, context.Context) error
}

// acts are the keys.
var acts = []act{
	{'k', "kill primary", (*Demo).killPrimary},
	{'f', "freeze agent", (*Demo).freezePrimary},
	{'c', "cut off", (*Demo).cutPrimary},
	{'s', "switch over", (*Demo).switchover},
	{'r', "restore", (*Demo).restore},
}

var errNoPrimary = errors.New("nobody leads now: wait a moment, or press r to bring all hosts back")

// strike does something to the host that leads, after the client has gone to another host's router: the outage shall be that of the cluster, and not of a
// client whose own machine is lost.
func (d *Demo) strike(ctx context.Context, what string, becomes condition, do func(*host) error) error {
	h := d.watch.primary()
	if h == nil || !h.healthy() {
		return errNoPrimary
	}
	d.writer.avoid(ctx, h)
	d.begin(fmt.Sprintf(what, h.name))
	h.set(becomes)
	return do(h)
}

// begin opens a span of the measurement.
func (d *Demo) begin(what string) {
	d.meter.mark(what)
	d.events.say("", what)
}

// killPrimary ends all that runs on the host that leads: agent, fence, PostgreSQL with its backends, router and store.
func (d *Demo) killPrimary(ctx context.Context) error {
	return d.strike(ctx, "kill -9 of everything on %s", killed, func(h *host) error { return d.kill(ctx, h) })
}

// freezePrimary stops the agent where it stands. PostgreSQL goes on, until the fence ends it with the lease.
func (d *Demo) freezePrimary(ctx context.Context) error {
	return d.strike(ctx, "SIGSTOP to the agent of %s", frozen, func(h *host) error { return h.signal(syscall.SIGSTOP) })
}

// cutPrimary pulls the host's cable.
func (d *Demo) cutPrimary(ctx context.Context) error {
	return d.strike(ctx, "%s is cut off from the others", cutOff, func(h *host) error { d.relay.Cut(h.name); return nil })
}

// switchover asks the host that leads to hand over.
func (d *Demo) switchover(ctx context.Context) error {
	h := d.watch.primary()
	if h == nil || !h.healthy() {
		return errNoPrimary
	}
	d.writer.avoid(ctx, h)
	d.begin("switchover from " + h.name)
	reply, err := d.watch.http.Do(ctx, d.url(h), http.MethodPost, "/switchover", map[string]string{"leader": h.name})
	if err != nil {
		return err
	}
	if reply.Code != http.StatusOK {
		return fmt.Errorf("switchover: %s", reply.Text())
	}
	return nil
}

// restore undoes all that was done to hosts.
func (d *Demo) restore(context.Context) error {
	for _, h := range d.hosts {
		var err error
		switch c := h.condition(); c {
		case up:
			continue
		case frozen:
			h.set(up)
			err = h.signal(syscall.SIGCONT)
		case cutOff:
			h.set(up)
			d.relay.Join(h.name)
		case killed, ended:
			err = h.start(d.spawn, d.opt.Exe)
		}
		if err != nil {
			return err
		}
		d.events.say("", h.name+" is back")
	}
	return nil
}
