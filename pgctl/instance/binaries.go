package instance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"

	"quorate/pgctl/postgres"
)

// binaries remembers where PostgreSQL's programs are, and of which version.
type binaries struct {
	mu      sync.Mutex
	dir     string
	version postgres.Version
}

// forget looks for the programs again when they are needed next.
func (b *binaries) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dir, b.version = "", 0
}

// binGlobs are where the distributions put each major version's programs.
var binGlobs = []string{"/usr/lib/postgresql/%d/bin", "/usr/pgsql-%d/bin", "/usr/lib/postgresql%d/bin"}

// tools finds the programs for the data folder that is there, or the newest ones when there is none, and their version.
func (i *Instance) tools(ctx context.Context) (dir string, v postgres.Version, err error) {
	major, _ := i.folderMajor()
	b := &i.bins
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dir != "" && (major == 0 || major == b.version.Major() || i.settings().BinDir != "") {
		return b.dir, b.version, nil
	}
	var found []string
	for _, dir := range i.binCandidates(major) {
		v, err := i.versionOf(ctx, dir)
		if err != nil {
			continue
		}
		found = append(found, fmt.Sprintf("%s (%s)", dir, v))
		if major == 0 || v.Major() == major || i.settings().BinDir != "" {
			b.dir, b.version = dir, v
			return dir, v, nil
		}
	}
	if i.settings().BinDir != "" {
		return "", 0, fmt.Errorf("bin_dir %s: %w", i.settings().BinDir, ErrNoBinaries)
	}
	if major == 0 {
		return "", 0, fmt.Errorf("%w: install PostgreSQL, or set postgresql.bin_dir", ErrNoBinaries)
	}
	return "", 0, fmt.Errorf("%w for major version %d of %s, only %v: install it, or set postgresql.bin_dir", ErrNoBinaries, major, i.opt.DataDir, found)
}

// binCandidates are the folders to look in, the newest version first.
func (i *Instance) binCandidates(major int) []string {
	if i.settings().BinDir != "" {
		return []string{i.settings().BinDir}
	}
	majors := []int{major}
	if major == 0 {
		majors = nil
		for m := postgres.MaxMajor; m >= postgres.MinMajor; m-- {
			majors = append(majors, m)
		}
	}
	var out []string
	for _, m := range majors {
		for _, g := range binGlobs {
			out = append(out, fmt.Sprintf(g, m))
		}
	}
	if p, err := exec.LookPath("postgres"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil {
			out = append(out, filepath.Dir(p))
		}
	}
	return append(out, "/usr/local/pgsql/bin", "/usr/local/bin")
}

// versions remembers what each program said of itself: `postgres --version` takes a good part of a second on a busy host, and several parts of
// a start ask.
var versions sync.Map // of programFile, to postgres.Version

// programFile identifies one version of a program: an upgrade gives it another inode, or a later change.
type programFile struct {
	path     string
	dev, ino uint64
	ctime    syscall.Timespec
}

func (i *Instance) versionOf(ctx context.Context, dir string) (postgres.Version, error) {
	path := i.inDir(dir, "postgres")
	fi, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	file := programFile{path: path}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		file.dev, file.ino, file.ctime = uint64(st.Dev), st.Ino, st.Ctim
	}
	if v, ok := versions.Load(file); ok {
		return v.(postgres.Version), nil
	}
	out, err := i.output(ctx, command{path: path, args: []string{"--version"}})
	if err != nil {
		return 0, err
	}
	v, err := postgres.ParseVersion(out)
	if err == nil {
		versions.Store(file, v)
	}
	return v, err
}

// program is the path of one of PostgreSQL's programs, by its usual name.
func (i *Instance) program(ctx context.Context, name string) (string, error) {
	dir, _, err := i.tools(ctx)
	return i.inDir(dir, name), err
}

func (i *Instance) inDir(dir, name string) string {
	if own := i.settings().BinName[name]; own != "" {
		name = own
	}
	return filepath.Join(dir, name)
}

// Version is the version of PostgreSQL's programs.
func (i *Instance) Version(ctx context.Context) (postgres.Version, error) {
	_, v, err := i.tools(ctx)
	return v, err
}

// folderMajor reads PG_VERSION; 0 and an error when there is none.
func (i *Instance) folderMajor() (int, error) {
	b, err := os.ReadFile(i.dataPath("PG_VERSION"))
	if err != nil {
		return 0, err
	}
	return postgres.ParseMajor(string(b))
}
