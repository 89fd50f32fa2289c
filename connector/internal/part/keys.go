package part

import "strings"

// keyOf is the bridge's key for each option of the sender that an error of the sender may name.
var keyOf = strings.NewReplacer(
	"WithMaxFrame", "inlong.max_frame",
	"WithBudget", "memory.budget",
)

// InKeys returns the text of an error of the sender as an operator of the bridge needs it: with the keys of the configuration in
// place of the sender's options.
func InKeys(err error) string { return keyOf.Replace(err.Error()) }
