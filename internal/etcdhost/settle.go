package etcdhost

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// settle gives back the memory that starting took and serving does not need: Go's heap, and the pages of the program itself, which is three
// products in one file. Initialising all of it touches most of the file, and what was touched stays mapped for as long as nobody is short of memory.
// What is used again comes back from the page cache at its first use, without a disk.
func settle() error {
	debug.FreeOSMemory()
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return err
	}
	for _, r := range fileBacked(bytes.NewReader(maps), exe) {
		if err := unmapPages(r); err != nil {
			return err
		}
	}
	return nil
}

// unmapPages takes a range that fileBacked found out of this process's page table.
func unmapPages(r addressRange) error {
	_, _, errno := unix.Syscall(unix.SYS_MADVISE, r.from, r.to-r.from, unix.MADV_DONTNEED)
	if errno != 0 {
		return os.NewSyscallError("madvise", errno)
	}
	return nil
}

type addressRange struct{ from, to uintptr }

// fileBacked reads the form of /proc/PID/smaps and returns the mappings of a file that hold nothing but what the file holds: private, not
// writable, not locked, and without a page of their own (a linker's relocations, which end up read-only, are such pages).
func fileBacked(smaps io.Reader, file string) (found []addressRange) {
	var now addressRange // of the mapping that is read, when it comes into question
	lines := bufio.NewScanner(smaps)
	own, locked := "", ""
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		switch {
		case len(f) >= 5 && !strings.HasSuffix(f[0], ":"):
			now, own, locked = addressRange{}, "", ""
			if len(f) == 6 && f[5] == file && (f[1] == "r-xp" || f[1] == "r--p") {
				now = parseRange(f[0])
			}
		case len(f) >= 2 && f[0] == "Anonymous:":
			own = f[1]
		case len(f) >= 2 && f[0] == "Locked:":
			locked = f[1]
		case len(f) >= 2 && f[0] == "VmFlags:": // the last line of a mapping
			if now.to > now.from && own == "0" && locked == "0" {
				found = append(found, now)
			}
		}
	}
	return found
}

// parseRange reads the form 00400000-0052a000; what is none is empty.
func parseRange(text string) (r addressRange) {
	from, to, _ := strings.Cut(text, "-")
	low, err1 := strconv.ParseUint(from, 16, 64)
	high, err2 := strconv.ParseUint(to, 16, 64)
	if err1 == nil && err2 == nil {
		r = addressRange{uintptr(low), uintptr(high)}
	}
	return r
}
