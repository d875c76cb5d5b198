package raftstore

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// mappingOf is the address at which this process has mapped the start of a file, 0 when it has not. A mapping of our own would lock the same
// pages, but the kernel counts a page for every mapping of it: the process would seem to be larger by the whole file.
func mappingOf(path string) (uintptr, error) {
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return 0, err
	}
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return findMapping(f, real)
}

// findMapping reads lines as "7f1f30000000-7f1f70000000 r--s 00000000 fe:00 9994578    /path" (proc_pid_maps(5)).
func findMapping(maps io.Reader, path string) (uintptr, error) {
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		line := lines.Text()
		if !strings.HasSuffix(line, " "+path) {
			continue
		}
		var at, end uintptr
		var mode string
		var offset uint64
		if _, err := fmt.Sscanf(line, "%x-%x %s %x", &at, &end, &mode, &offset); err != nil {
			return 0, fmt.Errorf("read /proc/self/maps: %q: %w", line, err)
		}
		if offset == 0 {
			return at, nil
		}
	}
	return 0, lines.Err()
}

// lockPages locks a range of addresses, which need not be there any more: bbolt moves its mapping when the file outgrows it, and then there is an
// error and another try with the file's next size.
func lockPages(at uintptr, size int64) error {
	if _, _, errno := unix.Syscall(unix.SYS_MLOCK, at, uintptr(size), 0); errno != 0 {
		return os.NewSyscallError("mlock", errno)
	}
	return nil
}
