package lab

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroup holds the processes of one host, so that all are killed or frozen at one instant.
type cgroup struct{ path string }

var errNoCgroup = errors.New("no cgroup v2 is mounted on this machine")

// cgroupRoot finds the cgroup v2 mount; empty when there is none.
func cgroupRoot() string {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "cgroup2" {
			return f[1]
		}
	}
	return ""
}

// newCgroup returns nil where the machine has no cgroup v2: killing then goes by namespace alone, and freezing is refused.
func newCgroup(name string) (*cgroup, error) {
	root := cgroupRoot()
	if root == "" {
		return nil, nil
	}
	cg := &cgroup{path: filepath.Join(root, name)}
	err := os.Mkdir(cg.path, 0o755)
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if errors.Is(err, unix.EROFS) || errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	return cg, err
}

// open returns a handle that a process can be started in (clone3 with CLONE_INTO_CGROUP: there is no moment outside).
func (c *cgroup) open() (*os.File, error) { return os.Open(c.path) }

func (c *cgroup) kill() error {
	return errors.Join(c.freeze(false), c.write("cgroup.kill", "1"))
}

func (c *cgroup) freeze(on bool) error {
	value, state := "0", "frozen 0"
	if on {
		value, state = "1", "frozen 1"
	}
	if err := c.write("cgroup.freeze", value); err != nil {
		return err
	}
	return waitUntil(killTimeout, "cgroup to report "+state, func() bool {
		events, err := os.ReadFile(filepath.Join(c.path, "cgroup.events"))
		return err != nil || strings.Contains(string(events), state)
	})
}

func (c *cgroup) write(file, value string) error {
	return os.WriteFile(filepath.Join(c.path, file), []byte(value), 0)
}

// remove takes the group away together with those that its processes made below. The kernel refuses while a killed process is not
// yet reaped out of it, hence the patience.
func (c *cgroup) remove() error {
	if c == nil {
		return nil
	}
	return waitUntil(killTimeout, "cgroup "+c.path+" to be empty", func() bool { return removeTree(c.path) })
}

func removeTree(path string) bool {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	for _, e := range entries {
		if e.IsDir() && !removeTree(filepath.Join(path, e.Name())) {
			return false
		}
	}
	err = unix.Rmdir(path)
	return err == nil || errors.Is(err, unix.ENOENT)
}

// waitUntil polls a condition that other processes bring about.
func waitUntil(timeout time.Duration, what string, cond func() bool) error {
	deadline := time.Now().Add(timeout)
	for !cond() {
		if time.Now().After(deadline) {
			return errors.New("lab: waited " + timeout.String() + " for " + what)
		}
		time.Sleep(2 * time.Millisecond)
	}
	return nil
}
