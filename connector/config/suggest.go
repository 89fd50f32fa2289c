package config

import "strings"

// closest returns the known word that word was probably meant to be, or "".
func closest(word string, known []string) string {
	if len(word) > 64 {
		return ""
	}
	word = strings.ReplaceAll(strings.ToLower(word), "-", "_")
	best, at := "", max(1, len(word)/3)+1
	for _, k := range known {
		if d := editDistance(word, k); d < at && d < len(k) {
			best, at = k, d
		}
	}
	return best
}

// editDistance counts insertions, deletions, replacements and swaps of neighbours. camelCase was
// lowered before, and an underscore that is missing costs nothing: sessionTimeout is session_timeout.
func editDistance(a, b string) int {
	if strings.ReplaceAll(a, "_", "") == strings.ReplaceAll(b, "_", "") {
		return 0
	}
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	before, last, row := rows[0], rows[1], rows[2]
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
