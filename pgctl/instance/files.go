package instance

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// own gives a file to the user that runs PostgreSQL.
func (i *Instance) own(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return os.Lchown(path, i.opt.UID, i.opt.GID)
}

// mkdir makes a folder that only the user of PostgreSQL may read, with its missing parents.
func (i *Instance) mkdir(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return i.own(path)
}

// writeFile puts a whole file in place, on disk before it is visible, and never half of it.
func (i *Instance) writeFile(path string, content []byte) error {
	if err := i.replaceFile(path, content, (*os.File).Sync); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// replaceFile puts a whole file in place after settle has been called on it.
func (i *Instance) replaceFile(path string, content []byte, settle func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	err = errors.Join(err, settle(f), f.Close())
	if err == nil {
		err = i.own(f.Name())
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// updateFile is writeFile that leaves a file of the same content alone.
func (i *Instance) updateFile(path string, content []byte) (changed bool, err error) {
	if have, err := os.ReadFile(path); err == nil && string(have) == string(content) {
		return false, nil
	}
	return true, i.writeFile(path, content)
}

// removeFile removes a file durably; one that is not there is fine.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// copyFile copies a file with its content on disk, and says how many bytes it has.
func (i *Instance) copyFile(from, to string) (int64, error) {
	in, err := os.Open(from)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(out, in)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return n, err
	}
	return n, i.own(to)
}
