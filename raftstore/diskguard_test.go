package raftstore

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mapped adds up, over this process's mappings of a file, one of the figures of proc_pid_smaps(5), in bytes.
func mapped(t *testing.T, path, what string) (sum int64) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	ours := false
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if !strings.HasSuffix(f[0], ":") {
			ours = strings.HasSuffix(strings.TrimSpace(line), " "+path)
			continue
		}
		if ours && f[0] == what+":" {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += kb << 10
		}
	}
	return sum
}

// The backend's file is locked in memory whole, as it grows, and counts once.
func TestBackendIsLockedInMemoryOnce(t *testing.T) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil || limit.Cur < 4<<20 && os.Geteuid() != 0 {
		t.Skip("this process may not lock memory: ", limit.Cur, err)
	}
	c := started(t, 1, nil)
	path := filepath.Join(c.members[0].opts.Dir, cacheDir, "db-0")
	size := func() int64 {
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return st.Size()
	}
	before := size()
	for n := range 100 {
		c.put(0, strconv.Itoa(n), string(bytes.Repeat([]byte("v"), 10<<10)))
	}
	waitFor(t, "the file to grow and to be locked", func() bool {
		n := size()
		return n > before+1<<20 && mapped(t, path, "Locked") == n
	})
	if rss, n := mapped(t, path, "Rss"), size(); rss > n {
		t.Errorf("a file of %d bytes counts for %d", n, rss)
	}
}

func TestFindMapping(t *testing.T) {
	const maps = `400000-1237000 r-xp 00000000 fe:00 1    /usr/bin/quorate
7f1f00000000-7f1f10000000 r--s 00001000 fe:00 2                    /var/lib/my store/db-0
7f1f20000000-7f1f30000000 r--s 00000000 fe:00 3                    /other/var/lib/my store/db-0
7f1f40000000-7f1f42000000 r--s 00000000 fe:00 2                    /var/lib/my store/db-0
7f1f42000000-7f1f50000000 r--s 02000000 fe:00 2                    /var/lib/my store/db-0
7f1f60000000-7f1f70000000 r--s 00000000 fe:00 4                    /var/lib/my store/db-1 (deleted)
`
	for path, want := range map[string]uintptr{"/var/lib/my store/db-0": 0x7f1f40000000, "/var/lib/my store/db-1": 0, "/usr/bin/quorate": 0x400000} {
		if at, err := findMapping(strings.NewReader(maps), path); at != want || err != nil {
			t.Errorf("%s is at %x (%v), want %x", path, at, err, want)
		}
	}
}
