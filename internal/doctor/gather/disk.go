package gather

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"quorate/internal/doctor"
)

// folders looks at the store, the data folder, and the WAL where it lies elsewhere. Disks are measured one after the other.
func (g *gatherer) folders(ctx context.Context) (out []doctor.Folder) {
	measured := map[string]*doctor.Latency{}
	add := func(use, path string) {
		if path == "" {
			return
		}
		f := g.folder(use, path)
		key := fmt.Sprint(deviceOf(f.Probe))
		if m, ok := measured[key]; ok {
			f.Sync = m
		} else if f.Err == "" {
			f.Sync = g.measure(ctx, f.Probe)
			measured[key] = f.Sync
		}
		out = append(out, f)
	}
	c := g.Config
	if c.Roles.Store {
		add("store", c.Store.DataDir)
	}
	if c.Roles.Postgres {
		add("data", c.PostgreSQL.DataDir)
		wal := filepath.Join(c.PostgreSQL.DataDir, "pg_wal")
		if real, err := filepath.EvalSymlinks(wal); err == nil {
			wal = real
		}
		add("wal", wal)
	}
	return out
}

// folder looks at the file system that holds a path, or will: the nearest folder that exists counts.
func (g *gatherer) folder(use, path string) doctor.Folder {
	f := doctor.Folder{Use: use, Path: path, Probe: existing(path)}
	var st unix.Statfs_t
	if err := unix.Statfs(f.Probe, &st); err != nil {
		f.Err = err.Error()
		return f
	}
	block := uint64(st.Bsize)
	f.Free, f.Total = st.Bavail*block, st.Blocks*block
	f.FreeNodes, f.AllNode = st.Ffree, st.Files
	dev := deviceOf(f.Probe)
	f.OnRoot = dev == deviceOf("/")
	f.FSType = g.fsType(dev)
	f.Disk = g.diskOf(dev)
	return f
}

// existing is the path itself, or the nearest folder above it that is there.
func existing(path string) string {
	for {
		if fi, err := os.Stat(path); err == nil && fi.IsDir() {
			return path
		}
		up := filepath.Dir(path)
		if up == path {
			return path
		}
		path = up
	}
}

func deviceOf(path string) uint64 {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return 0
	}
	return st.Dev
}

// fsType is the type of the file system with a device number, by /proc/self/mountinfo (proc(5)).
func (g *gatherer) fsType(dev uint64) string {
	text, err := os.ReadFile(filepath.Join(g.Proc, "self/mountinfo"))
	if err != nil {
		return ""
	}
	want := fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev))
	for _, line := range strings.Split(string(text), "\n") {
		before, after, ok := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if ok && len(fields) > 2 && fields[2] == want {
			kind, _, _ := strings.Cut(after, " ")
			return kind
		}
	}
	return ""
}

// diskOf names the whole disk behind a device number, as partitions of one disk are one disk.
func (g *gatherer) diskOf(dev uint64) string {
	number := fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev))
	path, err := filepath.EvalSymlinks(filepath.Join(g.Sys, "dev/block", number))
	if err != nil {
		return number // a file system without a device of its own: the number is all there is
	}
	if _, err := os.Stat(filepath.Join(path, "partition")); err == nil {
		path = filepath.Dir(path)
	}
	return filepath.Base(path)
}

// recordSize is what etcd's advice measures with: fio --bs=2300 --fdatasync=1.
const recordSize = 2300

// mostSyncs bounds the load on a disk that is in service.
const mostSyncs = 500

// measure appends records to a file and waits for the disk after each.
func (g *gatherer) measure(ctx context.Context, dir string) *doctor.Latency {
	file, err := os.CreateTemp(dir, ".quorate-doctor-*")
	if err != nil {
		g.missed("the disk under %s was not measured: %v", dir, err)
		return nil
	}
	defer func() { file.Close(); os.Remove(file.Name()) }()
	record := make([]byte, recordSize)
	var took []time.Duration
	end := time.Now().Add(g.SyncFor)
	for len(took) < mostSyncs && time.Now().Before(end) && ctx.Err() == nil {
		begin := time.Now()
		if _, err := file.Write(record); err != nil {
			g.missed("the disk under %s was not measured: %v", dir, err)
			return nil
		}
		if err := unix.Fdatasync(int(file.Fd())); err != nil {
			g.missed("the disk under %s was not measured: %v", dir, err)
			return nil
		}
		took = append(took, time.Since(begin))
	}
	return percentiles(took)
}

func percentiles(took []time.Duration) *doctor.Latency {
	if len(took) == 0 {
		return nil
	}
	slices.Sort(took)
	at := func(p int) time.Duration { return took[(len(took)-1)*p/100] }
	return &doctor.Latency{Count: len(took), P50: at(50), P90: at(90), P99: at(99), Max: took[len(took)-1]}
}
