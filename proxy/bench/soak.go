package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"
)

// soak keeps sessions open and opens others at a steady rate, for a long time, and watches what the router holds.
func soak(ctx context.Context, args []string, out, progress io.Writer) error {
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	length := flags.Duration("for", 10*time.Minute, "how long")
	sessions := flags.Int("sessions", 10000, "sessions that stay; one in a hundred of them is used each second")
	rate := flags.Int("rate", 1000, "connections a second that are opened, used and closed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	s := &stage{progress: progress, procs: map[string]*process{}, addrs: map[string]string{}, inspect: freeAddr(), bare: freeAddr()}
	defer s.close()
	if s.room = raiseLimit(); *sessions+*rate > s.room {
		return fmt.Errorf("%d sessions need more file descriptors than the limit allows; -sessions %d would do", *sessions, s.room-*rate)
	}
	var err error
	if s.self, err = os.Executable(); err != nil {
		return err
	}
	if _, err := s.start(ctx, s.bare, exec.CommandContext(ctx, s.self, "backend", s.bare)); err != nil {
		return err
	}
	addr := freeAddr()
	router, err := s.start(ctx, addr, exec.CommandContext(ctx, s.self, "router", addr, s.bare, s.inspect))
	if err != nil {
		return err
	}
	stay, err := openMany(addr, *sessions)
	defer func() {
		for _, c := range stay {
			_ = c.Close()
		}
	}()
	if err != nil {
		return fmt.Errorf("open %d sessions: %w", *sessions, err)
	}

	load := startLoad(ctx, addr, stay, *rate)
	defer load.stop()
	var first, last holding
	began := time.Now()
	for tenth := 1; tenth <= 10; tenth++ {
		select {
		case <-time.After(time.Until(began.Add(*length * time.Duration(tenth) / 10))):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if tenth == 10 {
			load.stop() // so that what comes and goes is not counted
		}
		if last, err = s.holds(ctx, router); err != nil {
			return err
		}
		if tenth == 1 {
			first = last
		}
		_, _ = fmt.Fprintf(progress, "%s: %s; %d connections, %d errors\n", time.Since(began).Round(time.Second), last, load.opened.Load(), load.failed.Load())
	}
	_, _ = fmt.Fprintf(out, "%d sessions and %d connections in %s (%.0f a second), %d errors; after a tenth: %s; at the end: %s\n",
		*sessions, load.opened.Load(), *length, float64(load.opened.Load())/length.Seconds(), load.failed.Load(), first, last)
	return errors.Join(load.err(), last.over(first, *rate), enough(load.opened.Load(), *length, *rate))
}

// enough refuses a verdict on less load than was asked for.
func enough(opened int64, length time.Duration, rate int) error {
	if want := length.Seconds() * float64(rate) * 0.9; float64(opened) < want {
		return fmt.Errorf("only %d connections were opened, and %.0f are nine tenths of what was asked for: the machine is too slow", opened, want)
	}
	return nil
}

// openMany opens n sessions that stay.
func openMany(addr string, n int) (stay []net.Conn, err error) {
	var mu sync.Mutex
	var asked atomic.Int64
	_, err = together(8, time.Hour, func(time.Time) (float64, error) {
		for asked.Add(1) <= int64(n) {
			c, err := open(addr, userEcho)
			if err != nil {
				return 0, err
			}
			mu.Lock()
			stay = append(stay, c)
			mu.Unlock()
		}
		return 0, nil
	})
	return stay, err
}

// load is the clients of a soak.
type load struct {
	end            context.CancelFunc
	wg             sync.WaitGroup
	opened, failed atomic.Int64
	why            atomic.Pointer[error] // the first failure
}

func startLoad(ctx context.Context, addr string, stay []net.Conn, rate int) *load {
	ctx, end := context.WithCancel(ctx)
	l := &load{end: end}
	l.every(ctx, time.Second/time.Duration(max(rate, 1)), 16, func() error {
		l.opened.Add(1)
		c, err := open(addr, userEcho)
		if err != nil {
			return err
		}
		defer c.Close()
		return use(c)
	})
	if n := len(stay) / 100; n > 0 {
		next := 0
		l.every(ctx, time.Second/time.Duration(n), 1, func() error {
			next++
			return use(stay[next%len(stay)])
		})
	}
	return l
}

// every calls do at a steady rate, on so many goroutines that take turns.
func (l *load) every(ctx context.Context, d time.Duration, workers int, do func() error) {
	due := make(chan struct{}, 1024)
	l.wg.Go(func() {
		defer close(due)
		for n, began := time.Duration(0), time.Now(); ctx.Err() == nil; n++ {
			time.Sleep(time.Until(began.Add(n * d)))
			select {
			case due <- struct{}{}:
			case <-ctx.Done():
			}
		}
	})
	for range workers {
		l.wg.Go(func() {
			for range due {
				if err := do(); err != nil {
					l.failed.Add(1)
					l.why.CompareAndSwap(nil, &err)
				}
			}
		})
	}
}

func (l *load) stop() { l.end(); l.wg.Wait() }

func (l *load) err() error {
	if n := l.failed.Load(); n > 0 {
		return fmt.Errorf("%d errors, the first: %w", n, *l.why.Load())
	}
	return nil
}

// use sends something and wants it back.
func use(c net.Conn) error {
	p := []byte("some words for the echo")
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write(p); err != nil {
		return err
	}
	_, err := io.ReadFull(c, p)
	return err
}

// holding is what a router process has at one moment.
type holding struct {
	sessions, goroutines, files int
	memory                      float64 // MB
}

func (h holding) String() string {
	return fmt.Sprintf("%d sessions, %d goroutines, %d descriptors, %.1f MB", h.sessions, h.goroutines, h.files, h.memory)
}

func (s *stage) holds(ctx context.Context, p *process) (h holding, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.inspect, nil)
	if err != nil {
		return h, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return h, fmt.Errorf("ask the router what it holds: %w", err)
	}
	defer resp.Body.Close()
	if _, err := fmt.Fscan(resp.Body, &h.sessions, &h.goroutines); err != nil {
		return h, fmt.Errorf("what the router says that it holds: %w", err)
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	h.files, h.memory = len(files), p.pss()
	return h, err
}

// over says what has grown by more than comes and goes.
func (h holding) over(first holding, rate int) error {
	var errs []error
	slack := 50 + rate/10
	if h.goroutines > first.goroutines+slack {
		errs = append(errs, fmt.Errorf("%d goroutines, and there were %d", h.goroutines, first.goroutines))
	}
	if h.files > first.files+2*slack {
		errs = append(errs, fmt.Errorf("%d descriptors, and there were %d", h.files, first.files))
	}
	if h.memory > 1.2*first.memory+10 {
		errs = append(errs, fmt.Errorf("%.1f MB, and there were %.1f", h.memory, first.memory))
	}
	return errors.Join(errs...)
}
