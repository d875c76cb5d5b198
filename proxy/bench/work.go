package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

var (
	tpsLine  = regexp.MustCompile(`tps = ([0-9.]+)`)
	workLine = regexp.MustCompile(`actually processed: ([0-9]+)`)
)

// pgbench runs PostgreSQL's own, reading only.
func (s *stage) pgbench(ctx context.Context, addr string, clients int, length time.Duration, reconnect bool) (tps, transactions float64, err error) {
	args := []string{"-n", "-S", "-M", "prepared", "-c", strconv.Itoa(clients), "-T", strconv.Itoa(int(length.Seconds()))}
	if reconnect {
		args = append(args, "-C")
	}
	out, err := s.client(ctx, "pgbench", addr, args...).CombinedOutput()
	if err != nil {
		return 0, 0, fmt.Errorf("pgbench: %w\n%s", err, out)
	}
	a, b := tpsLine.FindSubmatch(out), workLine.FindSubmatch(out)
	if a == nil || b == nil {
		return 0, 0, fmt.Errorf("pgbench says\n%s", out)
	}
	tps, err1 := strconv.ParseFloat(string(a[1]), 64)
	transactions, err2 := strconv.ParseFloat(string(b[1]), 64)
	return tps, transactions, errors.Join(err1, err2)
}

func message(kind byte, body []byte) []byte {
	p := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4))
	return append(p, body...)
}

var (
	greeting  = slices.Concat(message('R', make([]byte, 4)), message('Z', []byte{'I'}))
	terminate = message('X', nil)
)

// The user names by which the bare backend knows what is wanted.
const (
	userEcho = "echo"
	userSend = "send"
)

// quiet is how clients connect and the backend listens: without the keep-alive that Go sets up by itself, and libpq and PostgreSQL do not (theirs begins after
// two hours). The probes that are measured with are the way's own.
var quiet = struct {
	net.Dialer
	net.ListenConfig
}{net.Dialer{KeepAlive: -1}, net.ListenConfig{KeepAlive: -1}}

// open starts a session with the bare backend.
func open(addr, user string) (net.Conn, error) {
	c, err := quiet.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	body := []byte("\x00\x03\x00\x00user\x00" + user + "\x00\x00")
	p := append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...)
	if _, err := c.Write(p); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if _, err := io.ReadFull(c, make([]byte, len(greeting))); err != nil {
		return nil, errors.Join(fmt.Errorf("the greeting: %w", err), c.Close())
	}
	return c, nil
}

// together runs work on n goroutines until it returns an error or the time is over, and sums what they did.
func together(n int, length time.Duration, work func(until time.Time) (float64, error)) (float64, error) {
	var all sync.WaitGroup
	var mu sync.Mutex
	var sum float64
	var errs []error
	until := time.Now().Add(length)
	for range n {
		all.Go(func() {
			done, err := work(until)
			mu.Lock()
			defer mu.Unlock()
			sum += done
			errs = append(errs, err)
		})
	}
	all.Wait()
	return sum, errors.Join(errs...)
}

// connections opens and closes sessions as fast as eight clients can.
func connections(_ context.Context, _ *stage, addr string, length time.Duration) (float64, float64, error) {
	n, err := together(8, length, func(until time.Time) (n float64, err error) {
		for ; time.Now().Before(until); n++ {
			c, err := open(addr, userEcho)
			if err != nil {
				return n, err
			}
			_, _ = c.Write(terminate)
			_ = c.Close()
		}
		return n, nil
	})
	return n / length.Seconds(), n, err
}

// bulk reads what the backend sends without end.
func bulk(streams int) func(context.Context, *stage, string, time.Duration) (float64, float64, error) {
	return func(_ context.Context, _ *stage, addr string, length time.Duration) (float64, float64, error) {
		mb, err := together(streams, length, func(until time.Time) (float64, error) {
			c, err := open(addr, userSend)
			if err != nil {
				return 0, err
			}
			defer c.Close()
			_ = c.SetReadDeadline(until)
			buf, n := make([]byte, 256<<10), 0
			for {
				k, err := c.Read(buf)
				n += k
				if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
					return float64(n) / 1e6, nil
				}
				if err != nil {
					return float64(n) / 1e6, err
				}
			}
		})
		return mb / length.Seconds(), mb, err
	}
}

// ping sends 50 bytes and waits for their echo, on sixteen sessions; the figure is the 99th percentile of a round trip in microseconds.
func ping(_ context.Context, _ *stage, addr string, length time.Duration) (float64, float64, error) {
	var mu sync.Mutex
	var took []time.Duration
	n, err := together(16, length, func(until time.Time) (float64, error) {
		c, err := open(addr, userEcho)
		if err != nil {
			return 0, err
		}
		defer c.Close()
		var mine []time.Duration
		buf := make([]byte, 50)
		for now := time.Now(); now.Before(until); {
			if _, err := c.Write(buf); err != nil {
				return 0, err
			}
			if _, err := io.ReadFull(c, buf); err != nil {
				return 0, err
			}
			end := time.Now()
			mine, now = append(mine, end.Sub(now)), end
		}
		mu.Lock()
		defer mu.Unlock()
		took = append(took, mine...)
		return float64(len(mine)), nil
	})
	if err != nil || len(took) == 0 {
		return 0, 0, errors.Join(err, errors.New("nothing came back"))
	}
	slices.Sort(took)
	return float64(took[len(took)*99/100].Nanoseconds()) / 1000, n, nil
}

// idle opens n sessions, leaves them alone, and looks at the memory of the process between.
func idle(n int) func(context.Context, *stage, string, time.Duration) (float64, float64, error) {
	return func(ctx context.Context, s *stage, addr string, _ time.Duration) (float64, float64, error) {
		if n > s.room {
			return 0, 0, fmt.Errorf("%d sessions need more file descriptors than the limit allows; -idle %d would do", n, s.room)
		}
		var opened atomic.Int64
		conns := make(chan net.Conn, n)
		_, err := together(8, time.Hour, func(time.Time) (float64, error) {
			for opened.Add(1) <= int64(n) {
				c, err := open(addr, userEcho)
				if err != nil {
					return 0, err
				}
				conns <- c
			}
			return 0, nil
		})
		close(conns)
		select { // what opening left behind is given back in this time, by both
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
		}
		figure := 0.0
		for way, a := range s.addrs {
			if a == addr {
				figure = s.procs[way].pss()
			}
		}
		for c := range conns {
			_ = c.Close()
		}
		return figure, 0, err
	}
}
