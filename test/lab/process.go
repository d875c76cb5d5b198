package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Spec is a process to be started on a host.
type Spec struct {
	Name string   // names its log file; the base name of Args[0] if empty
	Args []string // the program, looked up on the path of this process, and its arguments
	Env  []string // added to a minimal environment: PATH, HOME, LANG
	User string   // whom it runs as; root if empty
	Dir  string   // working folder; the host's folder if empty
}

// Process is a started process. It belongs to the host: KillAll and the lab's end take it along.
type Process struct {
	Spec Spec
	PID  int
	Log  string // its output, both streams

	done chan struct{}
	err  error
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait returns how the process ended, as exec.Cmd.Wait does.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Stop sends SIGTERM and waits; when ctx ends first it kills, and returns the context's error.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		_ = p.Signal(syscall.SIGKILL)
		<-p.done
		return fmt.Errorf("lab: %s did not stop: %w", p.Spec.Name, ctx.Err())
	}
}

// Signal does nothing to a process that has ended.
func (p *Process) Signal(sig syscall.Signal) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	err := syscall.Kill(p.PID, sig)
	if err == syscall.ESRCH {
		return nil
	}
	return err
}

// Start starts a process on the host and captures its output below the lab's logs. A name used before appends to the same file.
func (h *Host) Start(spec Spec) (*Process, error) {
	if spec.Name == "" {
		spec.Name = filepath.Base(spec.Args[0])
	}
	path := filepath.Join(h.lab.logs, h.Name, spec.Name+".log")
	out, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd, err := h.command(context.Background(), spec)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = out, out
	if err := h.start(cmd); err != nil {
		return nil, err
	}
	p := &Process{Spec: spec, PID: cmd.Process.Pid, Log: path, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Run runs a command on the host to its end and returns its standard output; what it wrote to standard error goes into the error.
func (h *Host) Run(ctx context.Context, spec Spec) (string, error) {
	cmd, err := h.command(ctx, spec)
	if err != nil {
		return "", err
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second
	if err := h.start(cmd); err != nil {
		return "", err
	}
	if err := cmd.Wait(); err != nil {
		return stdout.String(), fmt.Errorf("lab: %s: %s: %w: %s", h.Name, strings.Join(spec.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

func (h *Host) command(ctx context.Context, spec Spec) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, spec.Args[0], spec.Args[1:]...)
	cmd.Dir = spec.Dir
	if cmd.Dir == "" {
		cmd.Dir = h.Dir()
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a terminal's Ctrl-C is for the test, which then cleans up
	home := "/root"
	if spec.User != "" {
		uid, gid, err := lookupUser(spec.User)
		if err != nil {
			return nil, err
		}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
		home = h.Dir()
	}
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin", "HOME=" + home, "LANG=C.UTF-8"}, spec.Env...)
	return cmd, nil
}

// start starts the command inside the host's namespace and cgroup.
func (h *Host) start(cmd *exec.Cmd) error {
	n, cg := h.ns(), h.group()
	if n == nil {
		return ErrPowerOff
	}
	if cg != nil {
		dir, err := cg.open()
		if err != nil {
			return err
		}
		defer dir.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}
	return n.do(cmd.Start)
}

func lookupUser(name string) (uid, gid uint32, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, err
	}
	id, err1 := strconv.ParseUint(u.Uid, 10, 32)
	group, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err1 != nil || err2 != nil {
		return 0, 0, fmt.Errorf("lab: user %s has ids %s and %s", name, u.Uid, u.Gid)
	}
	return uint32(id), uint32(group), nil
}
