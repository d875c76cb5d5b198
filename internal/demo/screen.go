package demo

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"quorate/internal/boottime"
)

const drawEvery = 200 * time.Millisecond

// The control sequences (ECMA-48, and xterm's for the second screen).
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// openScreen takes the terminal: the view is drawn anew all the time, and keys act.
func (d *Demo) openScreen(ctx context.Context, out *os.File, quit func()) (leave func(), err error) {
	restore, err := single(d.opt.In)
	if err != nil {
		return nil, fmt.Errorf("the terminal: %w", err)
	}
	fmt.Fprint(out, enterScreen)
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	pressed := make(chan act, 1)
	running.Go(func() { keys(ctx, d.opt.In, func(k byte) { d.press(k, pressed, quit) }) })
	running.Go(func() { d.perform(ctx, pressed) })
	running.Go(func() { d.draw(ctx, out) })
	return func() {
		cancel()
		running.Wait()
		fmt.Fprint(out, leaveScreen)
		restore()
	}, nil
}

// press hands an act over. While one is under way a second one waits and more are dropped.
func (d *Demo) press(key byte, pressed chan<- act, quit func()) {
	if key == 'q' {
		quit()
		return
	}
	for _, a := range acts {
		if a.key == key {
			select {
			case pressed <- a:
			default:
			}
		}
	}
}

func (d *Demo) perform(ctx context.Context, pressed <-chan act) {
	for {
		select {
		case a := <-pressed:
			if err := a.do(d, ctx); err != nil && ctx.Err() == nil {
				d.events.say("", err.Error())
			}
		case <-ctx.Done():
			return
		}
	}
}

func (d *Demo) draw(ctx context.Context, out *os.File) {
	for ctx.Err() == nil {
		width, height := terminalSize(out)
		var b bytes.Buffer
		b.WriteString(home)
		for i, line := range d.picture(height).render(width, height) {
			if i > 0 {
				b.WriteString("\r\n")
			}
			b.WriteString(line + clearLine)
		}
		b.WriteString(clearBelow)
		_, _ = out.Write(b.Bytes())
		sleep(ctx, drawEvery)
	}
}

// picture is what is to be shown now.
func (d *Demo) picture(height int) picture {
	now := boottime.Now()
	p := picture{
		elapsed: now.Sub(d.begun), folder: d.folder.path, reading: d.meter.read(now), events: d.events.latest(height), running: d.built > 0,
	}
	for _, h := range d.hosts {
		p.rows = append(p.rows, row{name: h.name, addr: h.addr.String(), condition: h.condition(), member: d.watch.of(h)})
	}
	if via := d.writer.through(); via != nil {
		p.via = via.name
	}
	r := d.router()
	p.connect = fmt.Sprintf("PGPASSWORD=%s psql -h %s -p %d -U postgres", d.secret, r.addr, d.net.primary)
	return p
}
