package node

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"quorate/internal/boottime"
	"quorate/pgctl/ha"
)

// diskProbeEvery is the time between two writes to the disk under the data folder.
const diskProbeEvery = 2 * time.Second

// probeDisk tells the loop when the disk under the data folder last took a write: a storage that hangs lets PostgreSQL answer from
// its cache, and no commit through (patroni issues 665 and 2388). A write that hangs holds this goroutine and nothing else. The
// file has no name: it is in nobody's way, and gone with its descriptor.
func (a *agent) probeDisk() {
	t := time.NewTicker(diskProbeEvery)
	defer t.Stop()
	for {
		select {
		case <-a.ctx.Done():
			return
		case <-t.C:
		}
		if st, ok := a.guard.Status(); !ok || st.PM == 0 {
			continue
		}
		asked := boottime.Now()
		err := writeThrough(a.cfg.PostgreSQL.DataDir)
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EISDIR) {
			a.log.Info("the file system of the data folder has no unnamed files: a hung disk is not looked for")
			return
		}
		// Whatever else went wrong (a full disk, for one), the disk has answered.
		a.loop.post(pgEvent{func(p *ha.PG) { p.WritesAt = asked }})
	}
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
