package instance

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"quorate/pgctl/postgres"
)

// sparedDir is where segments lie that pg_rewind is not to fetch, below the state folder or beside the place that pg_wal points to.
const sparedDir = "rewind-wal"

// sparedWAL are segments of the local log from before the fork: the source's are the same. They are linked into a folder outside of the data folder,
// since pg_rewind removes what its list of the source's files has not.
type sparedWAL struct {
	i       *Instance
	dir     string // "": none
	names   map[string]bool
	segSize uint64
}

// spareWAL links the log that both servers have. Where that cannot be done none is spared, and pg_rewind fetches all of it.
func (i *Instance) spareWAL(fork postgres.ForkPoint, segSize uint64) (sparedWAL, error) {
	s := sparedWAL{i: i, segSize: segSize}
	entries, err := os.ReadDir(i.dataPath("pg_wal"))
	if err != nil {
		return s, err
	}
	for _, dir := range i.sparedDirs() {
		if err = os.RemoveAll(dir); err != nil { // left by an attempt that was broken off
			continue
		}
		if err = os.Mkdir(dir, 0o700); err != nil {
			continue
		}
		if s.names, err = linkShared(i.dataPath("pg_wal"), dir, entries, fork, segSize); err == nil {
			s.dir = dir
			return s, nil
		}
		_ = os.RemoveAll(dir)
	}
	i.log.Info("the log that this server and the source share is fetched again: it cannot be put aside", "err", err)
	return sparedWAL{i: i, segSize: segSize}, nil
}

// dropSpared removes what a rewind that was broken off has left.
func (i *Instance) dropSpared() error {
	var errs []error
	for _, dir := range i.sparedDirs() {
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}

// sparedDirs are folders that may lie on the file system of pg_wal.
func (i *Instance) sparedDirs() []string {
	out := []string{i.statePath(sparedDir)}
	if real, err := filepath.EvalSymlinks(i.dataPath("pg_wal")); err == nil && real != i.dataPath("pg_wal") {
		out = append(out, real+".quorate-"+sparedDir)
	}
	return out
}

// linkShared links the segments from before the fork. One in which an earlier timeline ended is needed for nothing more, if it is not the fork's own: readers
// take the next timeline's, which begins with the same bytes (xlogrecovery.c, XLogFileReadAnyTLI; walsender.c, WalSndSegmentOpen).
func linkShared(from, to string, entries []fs.DirEntry, fork postgres.ForkPoint, segSize uint64) (map[string]bool, error) {
	names, last := map[string]bool{}, uint64(fork.LSN)/segSize
	for _, e := range entries {
		f, err := postgres.ParseWALFile(e.Name(), segSize)
		if err != nil || f.Segment > last || f.Timeline > fork.Timeline || f.Segment == last && f.Timeline == fork.Timeline {
			continue
		}
		if fi, err := e.Info(); err != nil || !fi.Mode().IsRegular() || uint64(fi.Size()) != segSize {
			continue
		}
		if err := os.Link(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return nil, err
		}
		names[e.Name()] = true
	}
	return names, nil
}

// surplus is what of the source's log pg_rewind need not fetch: what is spared, and segments behind the end of the log, which are laid by for later or were
// behind the end of a timeline that is left.
func (s *sparedWAL) surplus(name string, size int64, at postgres.LSN) bool {
	f, err := postgres.ParseWALFile(name, s.segSize)
	return err == nil && uint64(size) == s.segSize && (s.names[name] || f.Segment > uint64(at)/s.segSize)
}

// giveBack puts those of the spared segments into pg_wal again that were left out of the list, and gives up the others, as pg_rewind has done.
func (s *sparedWAL) giveBack(left []string) error {
	for _, n := range left {
		if !s.names[n] {
			continue
		}
		err := os.Link(filepath.Join(s.dir, n), s.i.dataPath("pg_wal", n))
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return syncDir(s.i.dataPath("pg_wal"))
}

// drop removes the folder of the links. What is left of it goes with the next rewind, or a new copy.
func (s *sparedWAL) drop() {
	if s.dir == "" {
		return
	}
	if err := os.RemoveAll(s.dir); err != nil {
		s.i.log.Warn("links to log are left", "dir", s.dir, "err", err)
	}
}
