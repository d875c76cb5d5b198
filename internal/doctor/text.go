package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"quorate/internal/config/dynamic"
)

// size is a number of bytes for people.
func size(n uint64) string { return dynamic.SizeText(int64(n)) }

// ms is a duration in milliseconds.
func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond)) }

func sortText(s []string) { slices.Sort(s) }

// byPlace puts findings whose order a map has made into one that does not change.
func byPlace(out []Finding) []Finding {
	slices.SortStableFunc(out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Level, b.Level), cmp.Compare(a.Where, b.Where), cmp.Compare(a.Text, b.Text))
	})
	return out
}
