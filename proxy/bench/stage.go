package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stage is what the measures run on: a PostgreSQL, a bare backend, and both ways of each to them.
type stage struct {
	progress io.Writer
	dir      string
	self     string
	postgres string // address
	bare     string
	started  []*process
	procs    map[string]*process // by way, and with "bare " before it
	addrs    map[string]string   // likewise
	inspect  string              // where the router tells what it holds; empty: nowhere
	room     int                 // sessions that there are descriptors for
	cred     *syscall.Credential // PostgreSQL's user
}

func newStage(ctx context.Context, progress io.Writer) (s *stage, err error) {
	s = &stage{progress: progress, procs: map[string]*process{}, addrs: map[string]string{}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	s.room = raiseLimit()
	if s.self, err = os.Executable(); err != nil {
		return s, err
	}
	if s.dir, err = os.MkdirTemp("", "qrb"); err != nil {
		return s, err
	}
	if err := s.startPostgres(ctx); err != nil {
		return s, fmt.Errorf("PostgreSQL: %w", err)
	}
	s.bare = freeAddr()
	b, err := s.start(ctx, s.bare, exec.CommandContext(ctx, s.self, "backend", s.bare))
	if err != nil {
		return s, fmt.Errorf("the bare backend: %w", err)
	}
	for _, target := range []struct{ prefix, addr string }{{"", s.postgres}, {"bare ", s.bare}} {
		s.addrs[target.prefix+"direct"], s.procs[target.prefix+"direct"] = target.addr, b
		if err := s.startWays(ctx, target.prefix, target.addr); err != nil {
			return s, err
		}
	}
	return s, nil
}

// raiseLimit asks for as many descriptors as ten thousand sessions take, and returns how many sessions it got room for.
func raiseLimit() int {
	want := unix.Rlimit{Cur: 65536, Max: 65536}
	_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &want)
	var have unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &have); err != nil {
		return 0
	}
	return int(min(have.Cur, want.Cur)-1000) / 2
}

// startWays puts HAProxy and the router before one backend.
func (s *stage) startWays(ctx context.Context, prefix, backend string) error {
	addr := freeAddr()
	config := filepath.Join(s.dir, "haproxy-"+strings.TrimSpace(prefix)+".cfg")
	text := fmt.Sprintf(`global
  maxconn %d
  maxpipes 128
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  option splice-auto
listen all
  bind %s
  server one %s
`, s.room, addr, backend)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return err
	}
	p, err := s.start(ctx, addr, exec.CommandContext(ctx, "haproxy", "-db", "-f", config))
	if err != nil {
		return fmt.Errorf("HAProxy: %w", err)
	}
	s.addrs[prefix+"haproxy"], s.procs[prefix+"haproxy"] = addr, p
	addr = freeAddr()
	if p, err = s.start(ctx, addr, exec.CommandContext(ctx, s.self, "router", addr, backend, s.inspect)); err != nil {
		return fmt.Errorf("the router: %w", err)
	}
	s.addrs[prefix+"router"], s.procs[prefix+"router"] = addr, p
	return nil
}

func (s *stage) startPostgres(ctx context.Context) error {
	bin, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(bin) == 0 {
		return errors.New("no server programs under /usr/lib/postgresql")
	}
	if os.Geteuid() == 0 {
		if s.cred, err = credential("postgres"); err != nil {
			return err
		}
		if err := os.Chown(s.dir, int(s.cred.Uid), int(s.cred.Gid)); err != nil {
			return err
		}
	}
	data, program := filepath.Join(s.dir, "data"), func(name string, args ...string) *exec.Cmd {
		c := exec.CommandContext(ctx, filepath.Join(bin[len(bin)-1], name), args...)
		c.Dir, c.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: s.cred}
		return c
	}
	if out, err := program("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync").CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	s.postgres = freeAddr()
	_, port, _ := net.SplitHostPort(s.postgres)
	c := program("postgres", "-D", data, "-k", s.dir, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200", "-c", "fsync=off")
	if _, err := s.start(ctx, s.postgres, c); err != nil {
		return err
	}
	out, err := s.client(ctx, "pgbench", s.postgres, "-i", "-q", "-s", "10").CombinedOutput()
	if err != nil {
		return fmt.Errorf("pgbench -i: %w\n%s", err, out)
	}
	return nil
}

func credential(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err1, err2)
}

// client is a program of PostgreSQL's that connects to addr.
func (s *stage) client(ctx context.Context, name, addr string, args ...string) *exec.Cmd {
	host, port, _ := net.SplitHostPort(addr)
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = s.dir
	c.Env = append(os.Environ(), "PGHOST="+host, "PGPORT="+port, "PGUSER=postgres", "PGDATABASE=postgres", "PGSSLMODE=disable")
	return c
}

// process is a program that serves an address.
type process struct {
	cmd *exec.Cmd
	end chan struct{}
}

// start runs a program until the stage closes, and waits for its port.
func (s *stage) start(ctx context.Context, addr string, c *exec.Cmd) (*process, error) {
	c.Stderr = s.progress
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGINT) }
	c.WaitDelay = 10 * time.Second
	if err := c.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: c, end: make(chan struct{})}
	go func() { _ = c.Wait(); close(p.end) }()
	s.started = append(s.started, p)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if conn, err := net.Dial("tcp", addr); err == nil {
			return p, conn.Close()
		}
		select {
		case <-p.end:
			return nil, fmt.Errorf("%s ended at once", filepath.Base(c.Path))
		default:
		}
	}
	return nil, fmt.Errorf("%s does not listen on %s", filepath.Base(c.Path), addr)
}

// close ends everything, the last first.
func (s *stage) close() {
	for i := len(s.started) - 1; i >= 0; i-- {
		p := s.started[i]
		_ = p.cmd.Process.Signal(syscall.SIGINT)
		<-p.end
	}
	_ = os.RemoveAll(s.dir)
}

func (s *stage) address(way string, bare bool) string {
	if bare {
		return s.addrs["bare "+way]
	}
	return s.addrs[way]
}

// processOf is the process whose cost counts; both of a way, since only one works at a time.
func (s *stage) processOf(way string) processes {
	return processes{s.procs[way], s.procs["bare "+way]}
}

type processes []*process

// cpu is what they have used so far.
func (ps processes) cpu() (total time.Duration) {
	for _, p := range ps {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
		if err != nil {
			continue
		}
		f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		user, _ := strconv.Atoi(f[11])
		system, _ := strconv.Atoi(f[12])
		total += time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100 on every architecture that Go has
	}
	return total
}

// pss is a process's share of memory, in MB.
func (p *process) pss() float64 {
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(rollup)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "Pss:" {
			kb, _ := strconv.Atoi(f[1])
			return float64(kb) / 1024
		}
	}
	return 0
}

// freeAddr is a port that is free now; who takes it in between is found out when the program does not start.
func freeAddr() string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:0"
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

func (s *stage) describe() string {
	version := func(name string, args ...string) string {
		out, _ := exec.Command(name, args...).Output()
		line, _, _ := strings.Cut(string(out), "\n")
		return line
	}
	return fmt.Sprintf("%d cores, Linux %s, %s, %s", runtime.NumCPU(), version("uname", "-r"), version("haproxy", "-v"), version("pgbench", "--version"))
}
