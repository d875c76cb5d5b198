package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Proc is one running process of a host.
type Proc struct {
	PID, PPID int
	Comm      string   // the kernel's name for it, at most 15 bytes
	Args      []string // its command line; PostgreSQL rewrites its own
}

// parseStat reads /proc/PID/stat. The command may itself hold spaces and brackets, so fields count from its last bracket.
func parseStat(stat string) (comm string, ppid int, start uint64, err error) {
	open, end := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return "", 0, 0, fmt.Errorf("lab: not a stat line: %q", stat)
	}
	fields := strings.Fields(stat[end+1:]) // fields[0] is field 3 of proc(5)
	if len(fields) < 20 {
		return "", 0, 0, fmt.Errorf("lab: short stat line: %q", stat)
	}
	ppid, err1 := strconv.Atoi(fields[1])
	start, err2 := strconv.ParseUint(fields[19], 10, 64)
	return stat[open+1 : end], ppid, start, errors.Join(err1, err2)
}

func startTime(pid int) (uint64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, _, start, err := parseStat(string(data))
	return start, err
}

// readProc returns fs.ErrNotExist when the process is gone or is a zombie's remainder without a command line.
func readProc(pid int) (Proc, error) {
	dir := fmt.Sprintf("/proc/%d", pid)
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return Proc{}, err
	}
	comm, ppid, _, err := parseStat(string(stat))
	if err != nil {
		return Proc{}, err
	}
	cmdline, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err != nil {
		return Proc{}, err
	}
	if len(cmdline) == 0 {
		return Proc{}, fs.ErrNotExist
	}
	args := strings.Split(strings.TrimRight(string(cmdline), "\x00"), "\x00")
	return Proc{PID: pid, PPID: ppid, Comm: comm, Args: args}, nil
}

// pidsIn lists the processes in the network namespace of the given inode, this one left out. A process that has exited and waits
// for its parent holds no namespace any more, and is not listed.
func pidsIn(inode uint64) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if ino, err := inodeOf(fmt.Sprintf("/proc/%d/ns/net", pid)); err == nil && ino == inode {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func inodeOf(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return st.Ino, nil
}

// signalIn sends sig to a process if it is still the one in the namespace: the handle is taken first and the namespace looked at after, so
// that a process id that was given to another process in between hits nobody.
func signalIn(inode uint64, pid int, sig unix.Signal) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ino, err := inodeOf(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return unix.ESRCH
	}
	if ino != inode {
		return unix.ESRCH
	}
	return unix.PidfdSendSignal(fd, sig, nil, 0)
}
