package instance

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// wipe empties the data folder, its tablespaces and the folder that pg_wal may point to. The folder itself stays: it may be a mount point.
// Whoever calls it has made sure that nothing of worth is lost.
func (i *Instance) wipe() error {
	var outside []string
	spaces, err := i.tablespaces()
	if err != nil {
		return err
	}
	outside = append(outside, spaces...)
	if link, err := os.Readlink(i.dataPath("pg_wal")); err == nil && filepath.IsAbs(link) {
		outside = append(outside, link)
		i.confMu.Lock()
		i.walDir = link
		i.confMu.Unlock()
	}
	for _, dir := range outside {
		if err := removeContents(dir); err != nil {
			return err
		}
	}
	return removeContents(i.opt.DataDir)
}

// withWALDir adds to the arguments of initdb or pg_basebackup where the log lay before, unless they say themselves.
func (i *Instance) withWALDir(args []string) []string {
	i.confMu.Lock()
	defer i.confMu.Unlock()
	if i.walDir == "" || slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--waldir") }) {
		return args
	}
	return append(slices.Clone(args), "--waldir="+i.walDir)
}

// tablespaces are the folders of this version's files outside of the data folder.
func (i *Instance) tablespaces() ([]string, error) {
	links, err := os.ReadDir(i.dataPath("pg_tblspc"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	major, err := i.folderMajor()
	if err != nil { // half a copy may lack the file; it is of the programs that made it
		i.bins.mu.Lock()
		major = i.bins.version.Major()
		i.bins.mu.Unlock()
	}
	var out []string
	for _, l := range links {
		to, err := os.Readlink(i.dataPath("pg_tblspc", l.Name()))
		if err != nil {
			continue // no link: an in-place tablespace
		}
		subs, err := filepath.Glob(filepath.Join(to, fmt.Sprintf("PG_%d_*", major)))
		if err != nil {
			return nil, err
		}
		out = append(out, subs...)
	}
	return out, nil
}

// removeContents empties a folder. The control file goes first: without it what is left cannot be taken for a data folder.
func removeContents(dir string) error {
	if !filepath.IsAbs(dir) || strings.Count(filepath.Clean(dir), "/") < 2 {
		return fmt.Errorf("%q is no folder to empty", dir)
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, "global", "pg_control")); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return syncDir(dir)
}
