package config

import (
	"strings"

	"inlong-bridge/mapping/suggest"
)

// find returns the entry of a key. file reports whether the key is the _file form of a secret.
func find(entries []entry, key string) (_ *entry, file bool) {
	for i := range entries {
		e := &entries[i]
		if e.key == key {
			return e, false
		}
		if e.secret() != nil && e.key+"_file" == key {
			return e, true
		}
	}
	return nil, false
}

// names returns the keys that are allowed in a section.
func names(entries []entry) []string {
	var keys []string
	for i := range entries {
		e := &entries[i]
		if e.refuse != "" {
			continue
		}
		keys = append(keys, e.key)
		if e.secret() != nil {
			keys = append(keys, e.key+"_file")
		}
	}
	return keys
}

func unknownHint(key, path string, entries []entry) string {
	here := names(entries)
	if guess := suggest.Closest(key, here); guess != "" {
		return "did you mean " + guess + "?"
	}
	if place := elsewhere(key, new(Config).schema(), ""); place != "" {
		return "did you mean " + place + "?"
	}
	if path == "" {
		path = "the file"
	}
	return path + " knows " + strings.Join(here, ", ")
}

// elsewhere finds a key in another section.
func elsewhere(key string, entries []entry, path string) string {
	for i := range entries {
		e := &entries[i]
		at := join(path, e.key)
		if path != "" && e.key == key && e.refuse == "" {
			return at
		}
		sub := e.sub
		if e.each != nil {
			e.grow(1)
			sub, at = e.each(0), at+"[]"
		}
		if found := elsewhere(key, sub, at); found != "" {
			return found
		}
	}
	return ""
}

func missingHint(e *entry) string {
	switch {
	case e.routes:
		return "add rules such as - {topics: [orders], group: shop, stream: orders}"
	case e.example != "":
		return "add it, such as " + e.key + ": " + e.example
	}
	return "write " + choice(e.oneOf)
}
