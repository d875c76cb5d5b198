package demo

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// maxDir is how long the path of the demo's folder may be: the path of a UNIX socket below it has to fit in 107 bytes (unix(7)).
const maxDir = 80

// folder is where a demo keeps all that it has.
type folder struct {
	path string
	made bool // by this demo: it goes with it
}

// makeFolder makes a temporary folder, or takes the given one, which must be new or empty: the demo would otherwise start on the data of another one, whose
// addresses are not its own.
func makeFolder(dir string) (folder, error) {
	if dir == "" {
		path, err := os.MkdirTemp("", "quorate-demo-")
		if err != nil {
			return folder{}, fmt.Errorf("a folder for the demo: %w", err)
		}
		// PostgreSQL, which is another user's when this is root, has to pass.
		return folder{path, true}, os.Chmod(path, 0o755)
	}
	path, err := filepath.Abs(dir)
	if err != nil {
		return folder{}, err
	}
	if len(path) > maxDir {
		return folder{}, fmt.Errorf("--dir: %s has %d characters, and the path of a UNIX socket leaves room for %d: choose a shorter one", path, len(path), maxDir)
	}
	entries, err := os.ReadDir(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return folder{path, true}, os.Mkdir(path, 0o755)
	case err != nil:
		return folder{}, err
	case len(entries) > 0:
		return folder{}, fmt.Errorf("--dir: %s is not empty; name a folder that is, or that is not there yet", path)
	}
	return folder{path: path}, nil
}

// remove takes away what the demo made.
func (f folder) remove() error {
	if f.made {
		return os.RemoveAll(f.path)
	}
	entries, err := os.ReadDir(f.path)
	errs := []error{err}
	for _, e := range entries {
		errs = append(errs, os.RemoveAll(filepath.Join(f.path, e.Name())))
	}
	return errors.Join(errs...)
}

// owner is the user whose PostgreSQL is: it refuses to run as root.
type owner struct{ uid, gid int }

// postgresUser is postgres for root, and for everybody else himself.
func postgresUser() (owner, error) {
	if os.Geteuid() != 0 {
		return owner{os.Geteuid(), os.Getegid()}, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return owner{}, fmt.Errorf("PostgreSQL does not run as root, and its usual user is missing: %w; install PostgreSQL, or run the demo as an ordinary user", err)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	return owner{uid, gid}, errors.Join(err1, err2)
}

func (o owner) give(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return os.Chown(path, o.uid, o.gid)
}
