package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"quorate/internal/boottime"
	"quorate/internal/demo/relay"
)

// Options describe a demo.
type Options struct {
	Exe    string        // this program
	BinDir string        // of PostgreSQL; "": each host looks for it
	Dir    string        // "": a temporary folder
	Keep   bool          // leave the folder in the end
	For    time.Duration // 0: until somebody ends it; else it shows a switchover and the loss of a host by itself, and ends not before that
	In     *os.File      // keys
	Out    io.Writer     // the view, or lines
	Plain  bool          // lines even on a terminal
}

// Demo is three hosts, what stands between them, and a client.
type Demo struct {
	opt    Options
	net    network
	secret string
	folder folder
	owner  owner
	hosts  []*host
	spawn  *spawner
	relay  *relay.Relay
	// looking is held while the owner of a connection is looked for.
	looking sync.Mutex

	meter  *meter
	writer *writer
	watch  *watch
	events *events
	begun  boottime.Instant
	built  time.Duration // from nothing to three hosts that stream; 0 before
	stop   []func() error
}

// ErrNotUp is returned when the three hosts did not become a cluster in time.
var ErrNotUp = errors.New("the three hosts have not become a cluster")

// Run shows the demo until ctx ends, somebody presses q, or its time is over. It leaves no process behind, and no folder unless that was asked for.
func Run(ctx context.Context, o Options) (err error) {
	d := &Demo{opt: o, secret: secret(), begun: boottime.Now(), meter: newMeter()}
	defer func() { err = errors.Join(err, d.tearDown()) }()
	if err := d.prepare(); err != nil {
		return err
	}
	if err := d.startHosts(); err != nil {
		return err
	}
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	running.Go(func() { d.watch.run(background) })
	running.Go(func() { d.writer.run(background) })
	defer running.Wait()
	defer cancel()
	return d.show(ctx)
}

// prepare makes all that needs no process.
func (d *Demo) prepare() error {
	steps := []func() error{
		func() (err error) { d.owner, err = postgresUser(); return },
		func() (err error) { d.net, err = findNetwork(); return },
		func() (err error) { d.folder, err = makeFolder(d.opt.Dir); return },
		adopt,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	d.stop = append(d.stop, d.leaveFolder)
	d.events = newEvents(d.begun)
	for i := range hosts {
		name := "n" + strconv.Itoa(i+1)
		d.hosts = append(d.hosts, &host{name: name, dir: filepath.Join(d.folder.path, name), addr: d.net.addr(i + 1), via: d.net.via(i + 1)})
	}
	d.watch = newWatch(d.hosts, d.url, d.say)
	d.writer = &writer{route: d.router, dsn: d.dsn, meter: d.meter}
	return nil
}

// say adds an event of a host; nil is the demo itself.
func (d *Demo) say(h *host, text string) {
	who := ""
	if h != nil {
		who = h.name
	}
	d.events.say(who, text)
}

// startHosts puts the relay between the hosts and starts them.
func (d *Demo) startHosts() error {
	o := relay.Options{TCP: d.net.relayed(), UDP: []uint16{d.net.gossip}, Owner: d.dialler}
	for _, h := range d.hosts {
		o.Hosts = append(o.Hosts, relay.Host{Name: h.name, Addr: h.addr, Via: h.via})
	}
	var err error
	if d.relay, err = relay.Start(o); err != nil {
		return err
	}
	d.stop = append(d.stop, func() error { d.relay.Close(); return nil })
	reaped := d.reaper()
	d.stop = append(d.stop, func() error { reaped(); return nil })
	d.spawn = newSpawner()
	d.stop = append(d.stop, d.stopHosts)
	for _, h := range d.hosts {
		if err := d.writeConfig(h); err != nil {
			return err
		}
	}
	for _, h := range d.hosts {
		if err := h.start(d.spawn, d.opt.Exe); err != nil {
			return err
		}
	}
	return nil
}

// tearDown ends what was started, the last first.
func (d *Demo) tearDown() error {
	var errs []error
	for i := len(d.stop) - 1; i >= 0; i-- {
		errs = append(errs, d.stop[i]())
	}
	return errors.Join(errs...)
}

// stopHosts ends all that is left of the hosts. Nobody will start on their data again, so there is nothing to wait for; a folder that is kept holds what a
// power failure would leave.
func (d *Demo) stopHosts() error {
	defer close(d.spawn.jobs)
	var errs []error
	for _, h := range d.hosts {
		h.set(killed)
		errs = append(errs, d.kill(context.Background(), h), h.releaseMemory())
	}
	return errors.Join(errs...)
}

func (d *Demo) leaveFolder() error {
	if d.opt.Keep {
		fmt.Fprintf(d.opt.Out, "kept: %s\n", d.folder.path)
		return nil
	}
	return d.folder.remove()
}

// url is the API of a host, at its own address.
func (d *Demo) url(h *host) string { return "http://" + at(h.addr, d.net.rest) }

// dsn is the router of a host, for sessions that write.
func (d *Demo) dsn(h *host) string {
	return fmt.Sprintf("host=%s port=%d user=postgres password=%s dbname=postgres sslmode=disable application_name=quorate-demo",
		h.addr, d.net.primary, d.secret)
}

// router is the host by whose router the client goes: one that does not lead, since it is the primary that will be lost, and to which nothing was done.
func (d *Demo) router() *host {
	primary := d.watch.primary()
	best := d.hosts[0]
	for _, h := range d.hosts {
		switch {
		case h.healthy() && h != primary:
			return h
		case h.healthy():
			best = h
		}
	}
	return best
}
