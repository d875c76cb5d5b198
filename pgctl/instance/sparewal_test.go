package instance

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"quorate/pgctl/postgres"
)

// What both servers have is all that lies before the fork: of the fork's own timeline the whole segments, of earlier ones that in which they ended, too.
func TestLinkShared(t *testing.T) {
	const segSize = 1 << 20
	fork := postgres.ForkPoint{Timeline: 5, LSN: 7*segSize + 100}
	from, to := t.TempDir(), t.TempDir()
	all := map[postgres.WALFile]bool{
		{Timeline: 5, Segment: 6}: true,
		{Timeline: 5, Segment: 7}: false, // the fork lies in it
		{Timeline: 5, Segment: 8}: false,
		{Timeline: 4, Segment: 7}: true,
		{Timeline: 4, Segment: 8}: false, // laid by, and never used
		{Timeline: 1, Segment: 2}: true,
		{Timeline: 6, Segment: 6}: false, // of a way that was left
		{Timeline: 6, Segment: 7}: false,
	}
	var want []string
	for f, shared := range all {
		path := filepath.Join(from, f.Name(segSize))
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, segSize); err != nil {
			t.Fatal(err)
		}
		if shared {
			want = append(want, f.Name(segSize))
		}
	}
	short := postgres.WALFile{Timeline: 1, Segment: 1}.Name(segSize)
	for _, name := range []string{short, "00000005.history", "000000050000000000000006.partial"} {
		if err := os.WriteFile(filepath.Join(from, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	names, err := linkShared(from, to, entries, fork, segSize)
	if err != nil {
		t.Fatal(err)
	}
	linked, err := os.ReadDir(to)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(names)); !slices.Equal(got, want) || len(linked) != len(want) {
		t.Errorf("shared are %q and %d are linked, want %q", got, len(linked), want)
	}
}
