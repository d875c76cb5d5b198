package instance

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"quorate/internal/precedence"
)

// command is one run of a program of PostgreSQL's.
type command struct {
	path string
	args []string
	env  []string
	// users says that it is a command of the user's: it gets the agent's working folder and environment, as hooks do.
	users bool
	dir   string       // the working folder; "": /, or the agent's for a command of the user's
	line  func(string) // gets each line of standard error, or each part ended by a carriage return
	out   func(string) // gets each line of standard output; nil: it goes into the result
}

// killAfter is how long a program may take to end once it was asked to.
const killAfter = 5 * time.Second

// tailLines is how much of a failed program's words its error repeats.
const tailLines = 8

// run runs the program as the user of PostgreSQL in a session of its own, dying with this process, and ends it with the context:
// first by an interrupt, on which pg_basebackup and initdb remove what they made, then by force.
func (i *Instance) run(ctx context.Context, c command) (stdout string, err error) {
	// The kernel sends the parent-death signal when the thread that forked ends, not the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, c.path, c.args...)
	cmd.Env, cmd.Dir = append(safeEnv(), c.env...), "/"
	if c.users {
		cmd.Env, cmd.Dir = append(inherited(), c.env...), ""
	}
	if c.dir != "" {
		cmd.Dir = c.dir
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL, Credential: i.credential()}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = killAfter
	var buf bytes.Buffer
	tail := &tailBuffer{}
	words := &lineWriter{each: func(l string) {
		tail.add(l)
		if c.line != nil {
			c.line(l)
		}
	}}
	lines := &lineWriter{each: c.out}
	cmd.Stderr, cmd.Stdout = words, &buf
	if c.out != nil {
		cmd.Stdout = lines
	}
	err = runOrdinary(cmd)
	words.flush()
	lines.flush()
	if ctx.Err() != nil {
		return "", fmt.Errorf("%s: %w", filepath.Base(c.path), context.Cause(ctx))
	}
	if err != nil {
		return buf.String(), &toolError{tool: filepath.Base(c.path), err: err, tail: tail.lines}
	}
	return buf.String(), nil
}

// output is run for programs that only print.
func (i *Instance) output(ctx context.Context, c command) (string, error) { return i.run(ctx, c) }

func (i *Instance) credential() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	return &syscall.Credential{Uid: uint32(i.opt.UID), Gid: uint32(i.opt.GID), Groups: i.opt.groups}
}

// toolError is a program's failure with its last words.
type toolError struct {
	tool string
	err  error
	tail []string
}

func (e *toolError) Error() string {
	return fmt.Sprintf("%s: %v: %s", e.tool, e.err, strings.Join(e.tail, " | "))
}

func (e *toolError) Unwrap() error { return e.err }

// said says whether the program's last words hold one of the texts.
func said(err error, texts ...string) bool {
	var e *toolError
	if !errors.As(err, &e) {
		return false
	}
	for _, l := range e.tail {
		for _, t := range texts {
			if strings.Contains(l, t) {
				return true
			}
		}
	}
	return false
}

type tailBuffer struct{ lines []string }

func (t *tailBuffer) add(l string) {
	if l = strings.TrimSpace(l); l == "" {
		return
	}
	if len(t.lines) == tailLines {
		t.lines = append(t.lines[:0], t.lines[1:]...)
	}
	t.lines = append(t.lines, l)
}

// lineWriter calls each with every line written to it. A carriage return ends a line too: that is how progress is printed.
type lineWriter struct {
	each func(string)
	rest []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		n := bytes.IndexAny(w.rest, "\r\n")
		if n < 0 {
			return len(p), nil
		}
		if n > 0 {
			w.each(string(w.rest[:n]))
		}
		w.rest = w.rest[n+1:]
	}
}

// flush hands over a last line without an end.
func (w *lineWriter) flush() {
	if len(w.rest) > 0 {
		w.each(string(w.rest))
		w.rest = nil
	}
}

// safeEnv is the environment of PostgreSQL and its programs: the agent's, since archive_command and restore_command may find their keys and
// settings in it, without what steers libpq. Messages are in English, because they are parsed.
func safeEnv() []string {
	env := []string{"LC_MESSAGES=C", "LANGUAGE=C"}
	for _, kv := range inherited() {
		k, v, _ := strings.Cut(kv, "=")
		switch k {
		case "PG_MALLOC_ARENA_MAX":
			env = append(env, "MALLOC_ARENA_MAX="+v)
		case "LC_MESSAGES", "LC_ALL", "LANGUAGE", "MALLOC_ARENA_MAX":
		default:
			env = append(env, kv)
		}
	}
	return env
}

// inherited is the agent's environment as PostgreSQL and the user's commands get it: without the agent's own settings, which hold passwords
// (Patroni leaves them out, too), without what is a service manager's word to the agent alone, and without the variables of libpq, which
// would send a program to another server. PGBACKREST_ is no name of libpq's, and neither is PG_.
func inherited() []string {
	var out []string
	for _, kv := range os.Environ() {
		k, _, _ := strings.Cut(kv, "=")
		has := func(prefix string) bool { return strings.HasPrefix(k, prefix) }
		switch {
		case has("PATRONI_"), has("QUORATE_"), has("ETCD_"), has("LISTEN_"), has("WATCHDOG_"), k == "NOTIFY_SOCKET", k == "MAINPID":
		case has("PG") && !has("PG_") && !has("PGBACKREST_"):
		default:
			out = append(out, kv)
		}
	}
	return out
}

// lastLines reads the end of a file, for errors that shall say what PostgreSQL's log says.
func lastLines(path string, from int64) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	const window = 16 << 10
	if fi, err := f.Stat(); err == nil && fi.Size()-from > window {
		from = fi.Size() - window
	}
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return nil
	}
	t := &tailBuffer{}
	s := bufio.NewScanner(f)
	for s.Scan() {
		t.add(s.Text())
	}
	return t.lines
}

// runOrdinary runs a command without the precedence for the CPU that the agent has.
func runOrdinary(cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	precedence.Ordinary(cmd.Process.Pid)
	return cmd.Wait()
}
