// Package nearest finds the known word that a mistyped one probably meant, for messages of the kind "did you mean".
package nearest

// Word is the candidate closest to word, or "" when none is near enough to be worth a guess: at most a third of the longer
// word's letters may differ, and at most three. Of equally near candidates the first wins.
func Word(word string, candidates []string) string {
	best, bestDistance := "", 4
	for _, c := range candidates {
		d := distance(word, c)
		if d < bestDistance && 3*d <= max(len(word), len(c)) {
			best, bestDistance = c, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete, replace or swap with their neighbour to make b of a (the optimal
// string alignment distance; a swap is the commonest slip of the finger).
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
