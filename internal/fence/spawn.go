package fence

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"quorate/internal/precedence"
)

type spawnCall struct {
	spec Spec
	done chan spawnResult
}

type spawnResult struct {
	pid int
	err error
}

// forkPostmaster must run on a thread that lives as long as the process: the kernel sends the parent-death signal when the
// forking thread ends (prctl(2), PR_SET_PDEATHSIG).
func forkPostmaster(spec Spec) (int, error) {
	log, err := os.OpenFile(spec.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, fmt.Errorf("opening PostgreSQL's log: %w", err)
	}
	defer log.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	attr := &syscall.ProcAttr{
		Dir: spec.Dir, Env: spec.Env,
		Files: []uintptr{null.Fd(), log.Fd(), log.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGQUIT},
	}
	if spec.UID >= 0 && os.Geteuid() == 0 {
		if err := log.Chown(spec.UID, spec.GID); err != nil {
			return 0, fmt.Errorf("giving PostgreSQL's log to its user: %w", err)
		}
		attr.Sys.Credential = &syscall.Credential{Uid: uint32(spec.UID), Gid: uint32(spec.GID), Groups: groupsOf(spec.UID)}
	}
	pid, err := syscall.ForkExec(spec.Path, append([]string{spec.Path}, spec.Args...), attr)
	if err != nil {
		return 0, fmt.Errorf("starting %s: %w", spec.Path, err)
	}
	precedence.Ordinary(pid)
	return pid, nil
}

// groupsOf are a user's further groups: a server's key may be readable by one of them only (Debian: ssl-cert).
func groupsOf(uid int) []uint32 {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return nil
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil
	}
	var out []uint32
	for _, id := range ids {
		if n, err := strconv.ParseUint(id, 10, 32); err == nil {
			out = append(out, uint32(n))
		}
	}
	return out
}
