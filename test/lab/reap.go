package lab

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// Reap removes what labs of dead processes have left on this machine: processes, mounts, namespaces, cgroups and folders. Labs of living
// processes are not touched. Folders are looked for where labs are made by default.
func Reap() error {
	unlock, err := lockReaping()
	if err != nil {
		return err
	}
	defer unlock()
	dead := map[run]bool{}
	for _, dir := range []string{netnsDir, cgroupRoot(), os.TempDir()} {
		for _, name := range runNames(dir) {
			if r, ok := parseRun(name); ok && !r.alive() {
				dead[r] = true
			}
		}
	}
	var errs []error
	for r := range dead {
		errs = append(errs, removeRun(r, os.TempDir()))
	}
	return errors.Join(errs...)
}

// lockReaping keeps processes that start labs at once from removing the same remains.
func lockReaping() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), runPrefix+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// runNames lists the entries of a folder that belong to some lab.
func runNames(dir string) []string {
	if dir == "" {
		return nil
	}
	names, err := filepath.Glob(filepath.Join(dir, runPrefix+"-*"))
	if err != nil {
		return nil
	}
	for i := range names {
		names[i] = filepath.Base(names[i])
	}
	return names
}

// removeRun goes from processes to what they hold: a mount is busy while a process is in it, a cgroup while one is alive.
func removeRun(r run, dir string) error {
	work := filepath.Join(dir, r.String())
	var errs []error
	thawMounts(work)
	for _, name := range namesOf(r, netnsDir) {
		errs = append(errs, removeNetns(name))
	}
	if root := cgroupRoot(); root != "" {
		for _, name := range namesOf(r, root) {
			cg := &cgroup{path: filepath.Join(root, name)}
			errs = append(errs, cg.kill(), cg.remove())
		}
	}
	errs = append(errs, unmountBelow(work), os.RemoveAll(work))
	return errors.Join(errs...)
}

func namesOf(r run, dir string) []string {
	var mine []string
	for _, name := range runNames(dir) {
		if other, ok := parseRun(name); ok && other == r {
			mine = append(mine, name)
		}
	}
	return mine
}

func removeNetns(name string) error {
	n, err := openNetns(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	// A frozen process does not die before it thaws.
	if root := cgroupRoot(); root != "" {
		cg := &cgroup{path: filepath.Join(root, name)}
		if _, err := os.Stat(cg.path); err == nil {
			_ = cg.kill()
		}
	}
	return errors.Join(killNamespace(n.inode, killTimeout), n.remove())
}

// mountsBelow lists mount points inside a folder, the deepest first.
func mountsBelow(dir string) []string {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil
	}
	var points []string
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], dir+"/") {
			points = append(points, f[1])
		}
	}
	sort.Sort(sort.Reverse(sort.StringSlice(points)))
	return points
}

func unmountBelow(dir string) error {
	var errs []error
	for _, point := range mountsBelow(dir) {
		errs = append(errs, command("umount", point))
	}
	return errors.Join(errs...)
}

// thawMounts ends every hang first: a process in a call on a frozen file system cannot be killed.
func thawMounts(dir string) {
	for _, point := range mountsBelow(dir) {
		_ = thaw(point) // of a file system that is not frozen it is an error, and says nothing
	}
}
