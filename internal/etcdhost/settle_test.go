package etcdhost

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// What settle may touch is what the file alone holds; everything else of the mappings is left where it is.
func TestFileBacked(t *testing.T) {
	mapping := func(head, own, locked string) string {
		return head + "\nSize: 4 kB\nRss: 4 kB\nAnonymous: " + own + " kB\nLocked: " + locked + " kB\nVmFlags: rd mr mw me\n"
	}
	smaps := mapping("00400000-012ac000 r-xp 00000000 08:01 77 /bin/quorate", "0", "0") +
		mapping("012ac000-02360000 r--p 00eac000 08:01 77 /bin/quorate", "0", "0") +
		mapping("02360000-02361000 r--p 01f60000 08:01 77 /bin/quorate", "4", "0") + // relocated
		mapping("02361000-02424000 rw-p 01f61000 08:01 77 /bin/quorate", "0", "0") +
		mapping("02424000-02425000 r--p 02024000 08:01 77 /bin/quorate", "0", "4") +
		mapping("02425000-02426000 r--s 02024000 08:01 77 /bin/quorate", "0", "0") +
		mapping("7f0000000000-7f0000001000 r-xp 00000000 08:01 78 /lib/libc.so.6", "0", "0") +
		mapping("7f0000002000-7f0000003000 rw-p 00000000 00:00 0", "4", "0")
	want := []addressRange{{0x400000, 0x12ac000}, {0x12ac000, 0x2360000}}
	if got := fileBacked(strings.NewReader(smaps), "/bin/quorate"); !slices.Equal(got, want) {
		t.Errorf("fileBacked = %x, want %x", got, want)
	}
}

// The program runs on, and holds less of its own file.
func TestSettle(t *testing.T) {
	before := residentFile(t)
	if err := settle(); err != nil {
		t.Fatal(err)
	}
	if after := residentFile(t); after >= before {
		t.Errorf("%d kB of files resident after, %d before", after, before)
	}
}

func residentFile(t *testing.T) (kb int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "RssFile:" {
			for _, digit := range f[1] {
				kb = 10*kb + int(digit-'0')
			}
		}
	}
	return kb
}
