package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"quorate/internal/boottime"
	"quorate/pgctl/ha"
	"quorate/raftstore/dcs"
)

// diskProbeEvery is the time between two writes to the disk under the data folder.
const diskProbeEvery = 2 * time.Second

// probeDisk tells the loop how much room the disks have, and when the one under the data folder last took a write: a storage that hangs lets PostgreSQL answer from
// its cache, and no commit through (patroni issues 665 and 2388). A write that hangs holds this goroutine and nothing else. The
// file has no name: it is in nobody's way, and gone with its descriptor.
func (a *agent) probeDisk() {
	t := time.NewTicker(diskProbeEvery)
	defer t.Stop()
	dir, named, state := a.cfg.PostgreSQL.DataDir, false, ""
	for {
		select {
		case <-a.ctx.Done():
			return
		case <-a.crashed: // of a full disk, perhaps: what happens next depends on it
		case <-t.C:
		}
		asked, wrote := boottime.Now(), false
		var err error
		if st, ok := a.guard.Status(); ok && st.PM != 0 && !named {
			err = writeThrough(dir)
			if named = errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR); named {
				a.log.Info("the file system of the data folder has no unnamed files: a hung disk is not looked for")
			}
			wrote = !named // whatever else went wrong, the disk has answered
		}
		was := state
		state = a.room(dir, err, was)
		if wrote || state != was {
			a.loop.post(pgEvent{func(p *ha.PG) {
				p.Disk = state
				if wrote {
					p.WritesAt = asked
				}
			}})
		}
	}
}

const (
	// noRoom is what is left of a file system that counts as full: two WAL segments of the usual size. PostgreSQL writes a new one as a whole and
	// crashes if it cannot.
	noRoom = 32 << 20
	// lowRoom and lowest bound the tenth of a file system that has to be free for a member to take over from one whose disk is full, and for that
	// one to count as mended.
	lowRoom, lowest = 256 << 20, 64 << 20
)

// room is the state of the file systems of data and WAL, of which the fuller one counts; wrote is the end of a write to the first. A change for the
// worse, and back, is told once.
func (a *agent) room(dir string, wrote error, was string) string {
	state, text := "", ""
	for _, d := range []string{dir, filepath.Join(dir, "pg_wal")} {
		var fs unix.Statfs_t
		if err := unix.Statfs(d, &fs); err != nil {
			continue // no folder yet: nothing is known of it
		}
		unit := uint64(fs.Bsize) //nolint:gosec // a block size is positive
		s := roomState(fs.Bavail*unit, fs.Blocks*unit, was)
		if s != "" && (state == "" || s == dcs.DiskFull) {
			state, text = s, fmt.Sprintf("%s: %d MB of %d MB are left", d, fs.Bavail*unit>>20, fs.Blocks*unit>>20)
		}
	}
	if errors.Is(wrote, unix.ENOSPC) || errors.Is(wrote, unix.EDQUOT) {
		state, text = dcs.DiskFull, fmt.Sprintf("%s: %v", dir, wrote)
	}
	switch {
	case state == was:
	case state == dcs.DiskFull:
		a.log.Error("no room is left on the disk: make space; until then a primary here hands over to a member that has room", "where", text)
	case state == dcs.DiskLow:
		a.log.Warn("little room is left on the disk: this member does not take over from one whose disk is full", "where", text)
	case was != "":
		a.log.Info("the disk has room again")
	}
	return state
}

// roomState judges a file system by the bytes that are left for PostgreSQL. What was full stays so until it has room in earnest.
func roomState(free, total uint64, was string) string {
	low := min(max(total/10, lowest), lowRoom)
	switch {
	case free < noRoom, free < low && was == dcs.DiskFull:
		return dcs.DiskFull
	case free < low:
		return dcs.DiskLow
	}
	return ""
}

// writeThrough writes a block to an unnamed file in the folder and waits until it is on the disk.
func writeThrough(dir string) error {
	fd, err := unix.Open(dir, unix.O_WRONLY|unix.O_TMPFILE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), dir)
	_, err = f.Write(make([]byte, 512))
	return errors.Join(err, f.Sync(), f.Close())
}
