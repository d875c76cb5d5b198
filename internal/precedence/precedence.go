// Package precedence keeps this program's work ahead of the database's for the CPU. A lease is renewed within fractions of a second by a process that shares
// its cores with hundreds of backends: without precedence, load alone can end a primary's term. Where the kernel groups processes by session
// (sched(7), autogroup), each backend weighs as much as the whole agent, since PostgreSQL gives each a session of its own.
package precedence

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Level is the nice level of the agent and of the fence: about nine times the weight of an ordinary process (sched(7)).
const Level = -10

// ordinary is the level of what they start.
const ordinary = 0

// Raise gives all threads of this process, and its autogroup, the level. A level that somebody has chosen, any but 0, stays. It needs root, CAP_SYS_NICE or
// an RLIMIT_NICE (systemd: LimitNICE=-10); without, all stays as it is and the error says so.
func Raise() error {
	if now, err := nice(0); err != nil || now != ordinary && now != Level {
		return err
	}
	// A thread that begins meanwhile has its maker's level: another look finds those whose maker had not been raised yet.
	for raised := -1; raised != 0; {
		tasks, err := filepath.Glob("/proc/self/task/[0-9]*")
		if err != nil {
			return err
		}
		raised = 0
		for _, t := range tasks {
			tid, _ := strconv.Atoi(filepath.Base(t))
			if now, err := nice(tid); err != nil || now == Level {
				continue // it has ended, or has it
			}
			if err := unix.Setpriority(unix.PRIO_PROCESS, tid, Level); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("nice level %d: %w", Level, err)
			}
			raised++
		}
	}
	err := os.WriteFile("/proc/self/autogroup", []byte(strconv.Itoa(Level)), 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("nice level %d of the session: %w", Level, err)
	}
	return nil
}

// Ordinary gives a child that has just been started, and therefore its children, the level of ordinary processes. A child belongs into a session of its own:
// in its parent's it shares the weight of that.
func Ordinary(pid int) {
	if now, err := nice(pid); err == nil && now < ordinary {
		_ = unix.Setpriority(unix.PRIO_PROCESS, pid, ordinary) // fails for one that has ended, and else for nobody: it asks for less
	}
}

// nice is a thread's level; 0 is the calling thread. The system call counts from 40 down to 1 (getpriority(2), C library/kernel differences).
func nice(tid int) (int, error) {
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
	return 20 - raw, err
}
