package logging

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
)

// Rotation bounds log files.
type Rotation struct {
	// Size is how many bytes a file may have before the next one is begun; 0: no limit.
	Size int64
	// Keep is how many old files stay, as NAME.1, NAME.2 and so on; 0: the file is not rotated, as with Python's handler.
	Keep int
	// Mode are the permissions of the files; 0: what the umask leaves of rw-rw-rw-.
	Mode fs.FileMode
}

// file is a log file that is rotated by size.
type file struct {
	path string
	Rotation
	f    *os.File
	size int64
}

func openFile(path string, r Rotation) (*file, error) {
	l := &file{path: path, Rotation: r}
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("log.dir: %w", err)
	}
	return l, nil
}

func (l *file) open() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && l.Mode != 0 && info.Mode().Perm() != l.Mode {
		err = f.Chmod(l.Mode)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.f, l.size = f, info.Size()
	return nil
}

// Write appends one line.
func (l *file) Write(b []byte) (int, error) {
	if l.f == nil || l.Size > 0 && l.Keep > 0 && l.size > 0 && l.size+int64(len(b)) > l.Size {
		if err := l.rotate(); err != nil {
			return 0, err
		}
	}
	n, err := l.f.Write(b)
	l.size += int64(n)
	return n, err
}

// rotate moves every file one number up and begins a new one.
func (l *file) rotate() error {
	if l.f != nil {
		_ = l.f.Close()
		l.f = nil
		for i := l.Keep - 1; i >= 0; i-- {
			if err := os.Rename(l.numbered(i), l.numbered(i+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				break // rather too long a file than none
			}
		}
	}
	return l.open()
}

func (l *file) numbered(i int) string {
	if i == 0 {
		return l.path
	}
	return l.path + "." + strconv.Itoa(i)
}

func (l *file) Close() error {
	if l == nil || l.f == nil {
		return nil
	}
	return l.f.Close()
}
