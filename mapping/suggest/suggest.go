// Package suggest finds the word that somebody meant who wrote another one.
//
// The package serves this module's own packages and promises no stable API.
package suggest

import "strings"

// maxWord bounds the work: nobody means a known word by one that is longer.
const maxWord = 64

// Closest returns the known word that word was probably meant to be, or "". Capital letters, and dashes and
// underscores between parts of a word, make no difference: sessionTimeout is session_timeout.
func Closest(word string, known []string) string {
	if len(word) > maxWord {
		return ""
	}
	word = strings.ReplaceAll(strings.ToLower(word), "-", "_")
	best, least := "", max(1, len(word)/3)+1
	for _, k := range known {
		d := 0
		if strings.ReplaceAll(word, "_", "") != strings.ReplaceAll(k, "_", "") {
			d = distance(word, k)
		}
		if d < least && d < len(k) {
			best, least = k, d
		}
	}
	return best
}

// distance counts insertions, deletions, replacements and swaps of neighbours that make b of a.
func distance(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	before, last, row := rows[0], rows[1], rows[2]
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			differs := 1
			if a[i-1] == b[j-1] {
				differs = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+differs)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
