package config

import (
	"fmt"
	"strings"

	"inlong-bridge/mapping"
	"inlong-bridge/sdk"
)

// packAttrs reports the attributes of packs that the sender would refuse.
func (d *decoder) packAttrs(path string, rules []mapping.RuleAttrs) {
	for _, r := range rules {
		var all []sdk.Attr // that are legal each
		for _, a := range r.Attrs {
			attr := sdk.Attr{Key: a.Key, Value: a.Value}
			if _, err := sdk.NewPackAttrs(attr); err != nil {
				d.wrong(a.Line, path, attrsProblem(r.Rule, err))
				continue
			}
			all = append(all, attr)
		}
		if _, err := sdk.NewPackAttrs(all...); err != nil {
			d.wrong(r.Line, path, attrsProblem(r.Rule, err))
		}
	}
}

func attrsProblem(rule int, err error) string {
	why, _, _ := strings.Cut(err.Error(), "; ") // the rest speaks to programs
	return fmt.Sprintf("rule %d: attrs: %s; write printable ASCII without & and =, names that InLong does not use itself, and 768 bytes at most in all", rule, why)
}
