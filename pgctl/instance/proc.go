package instance

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"quorate/pgctl/postgres"
)

// readPIDFile reads postmaster.pid.
func (i *Instance) readPIDFile() (postgres.PIDFile, error) {
	b, err := os.ReadFile(i.dataPath("postmaster.pid"))
	if err != nil {
		return postgres.PIDFile{}, err
	}
	return postgres.ParsePIDFile(string(b))
}

// postmasterPID is the postmaster that runs on the folder, 0 for none. A file left behind by one that was killed names a process that is
// gone, or is another program by now.
func (i *Instance) postmasterPID() int {
	p, err := i.readPIDFile()
	if err != nil || p.PID <= 0 || !i.isPostmaster(p.PID) {
		return 0
	}
	return p.PID
}

// isPostmaster says whether the process is a PostgreSQL server in this data folder: a server's working folder is its data folder.
func (i *Instance) isPostmaster(pid int) bool {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	cwd, err := os.Readlink(filepath.Join(proc, "cwd"))
	if err != nil {
		return false
	}
	real, err := filepath.EvalSymlinks(i.opt.DataDir)
	if err != nil || cwd != real {
		return false
	}
	cmd, err := os.ReadFile(filepath.Join(proc, "cmdline"))
	if err != nil {
		return false
	}
	arg0, _, _ := bytes.Cut(cmd, []byte{0})
	name := filepath.Base(string(arg0))
	return name == "postgres" || name == "postmaster" || strings.HasPrefix(name, "postgres:")
}

// wakeups counts how often the process went to sleep by itself: by it one sees that a process has been awake since.
func wakeups(pid int) int64 {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return -1
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if v, ok := strings.CutPrefix(line, "voluntary_ctxt_switches:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
			if err == nil {
				return n
			}
		}
	}
	return -1
}

// diskFree is the part of the file system below path that is free to ordinary users, with its absolute size.
func diskFree(path string) (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, 0, err
	}
	return int64(st.Bavail) * st.Bsize, int64(st.Blocks) * st.Bsize, nil
}
