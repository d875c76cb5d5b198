package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Disk is a small file system of its own, so that it can be full or hang without harm to the machine.
type Disk struct {
	Path  string // where it is mounted
	image string
}

// Disk is the host's disk that is mounted on the named folder; nil if there is none.
func (h *Host) Disk(name string) *Disk {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.disks {
		if d.Path == filepath.Join(h.Dir(), name) {
			return d
		}
	}
	return nil
}

// AddDisk makes an ext4 file system of the given size and mounts it on a folder of the host that belongs to owner.
func (h *Host) AddDisk(owner, name string, megabytes int) (*Disk, error) {
	path, err := h.MkdirFor("root", name, 0o755)
	if err != nil {
		return nil, err
	}
	d := &Disk{Path: path, image: filepath.Join(h.lab.dir, h.Name+"-"+name+".img")}
	f, err := os.Create(d.image)
	if err != nil {
		return nil, err
	}
	err = errors.Join(f.Truncate(int64(megabytes)<<20), f.Close())
	if err != nil {
		return nil, err
	}
	err = firstError(
		func() error { return command("mkfs.ext4", "-q", "-F", "-m", "0", d.image) },
		func() error { return command("mount", "-o", "loop", d.image, d.Path) },
		func() error { return os.RemoveAll(filepath.Join(d.Path, "lost+found")) },
		func() error { _, err := h.MkdirFor(owner, name, 0o700); return err },
	)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.disks = append(h.disks, d)
	h.mu.Unlock()
	return d, nil
}

// DatabaseDisk names the disk that DatabaseDir makes.
const DatabaseDisk = "postgres"

// DatabaseDir makes the folder that a host's database folder is put into; on a disk of its own if megabytes is not zero.
func (h *Host) DatabaseDir(megabytes int) (string, error) {
	if megabytes == 0 {
		return h.MkdirFor("postgres", DatabaseDisk, 0o755)
	}
	if d := h.Disk(DatabaseDisk); d != nil {
		return d.Path, nil
	}
	d, err := h.AddDisk("postgres", DatabaseDisk, megabytes)
	if err != nil {
		return "", err
	}
	return d.Path, nil
}

// ballast is the file that takes a full disk's room.
func (d *Disk) ballast() string { return filepath.Join(d.Path, ".ballast") }

// Fill takes all free room but the given number of bytes.
func (d *Disk) Fill(leave int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(d.Path, &st); err != nil {
		return err
	}
	size := int64(st.Bavail)*st.Bsize - leave
	if size <= 0 {
		return nil
	}
	f, err := os.Create(d.ballast())
	if err != nil {
		return err
	}
	// The file system needs some blocks to describe the file: come down until it fits.
	for ; size > 0; size -= st.Bsize * 16 {
		err = unix.Fallocate(int(f.Fd()), 0, 0, size)
		if !errors.Is(err, unix.ENOSPC) {
			break
		}
	}
	return errors.Join(err, f.Close())
}

// Free undoes Fill.
func (d *Disk) Free() error { return os.Remove(d.ballast()) }

// hangName marks the process that will thaw a disk, among all processes of the machine.
const hangName = "qlab-hang"

// Hang makes every write to the disk wait for the given time; reads that the cache answers go on. The thaw is the work of a process of its
// own, outside of all hosts and of this process's group: it comes even when the caller is killed or is itself stuck on the disk.
func (d *Disk) Hang(long time.Duration) error {
	script := `fsfreeze --freeze "$1" || exit 1; echo frozen; exec >&-; trap '' HUP INT TERM; sleep "$2"; fsfreeze --unfreeze "$1"`
	cmd := exec.Command("sh", "-c", script, hangName, d.Path, fmt.Sprintf("%.3f", long.Seconds()))
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	first := make([]byte, 16)
	n, _ := out.Read(first)
	if n == 0 {
		err := cmd.Wait()
		return fmt.Errorf("lab: freeze %s: %w: %s", d.Path, err, strings.TrimSpace(stderr.String()))
	}
	go func() { _ = cmd.Wait() }()
	return nil
}

// Thaw ends a hang early.
func (d *Disk) Thaw() error { return thaw(d.Path) }

func thaw(mount string) error {
	for _, pid := range hangers(mount) {
		_ = unix.Kill(-pid, unix.SIGKILL) // with its sleep: it leads a session of its own
	}
	return command("fsfreeze", "--unfreeze", mount)
}

// hangers lists the processes that wait to thaw a disk.
func hangers(mount string) []int {
	paths, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	var pids []int
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			continue
		}
		p, err := readProc(pid)
		if err == nil && len(p.Args) == 6 && p.Args[3] == hangName && p.Args[4] == mount {
			pids = append(pids, pid)
		}
	}
	return pids
}
