package config

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Print writes the effective configuration as YAML, with defaults and with secrets as ***. Comments below it give the
// mode of confirmation in force and the limits.
func (c *Config) Print(w io.Writer) error { return c.print(w, c.Limits()) }

func (c *Config) print(w io.Writer, l Limits) error {
	doc := &yaml.Node{Kind: yaml.MappingNode}
	c.nodes(doc, c.schema())
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(doc); err != nil {
		return fmt.Errorf("printing the configuration: %w", err)
	}
	b.WriteString("\n")
	for _, line := range c.facts(l) {
		b.WriteString("# " + line + "\n")
	}
	_, err := w.Write(b.Bytes())
	return err
}

// nodes appends the keys of a section that have a value.
func (c *Config) nodes(m *yaml.Node, entries []entry) {
	add := func(key string, v *yaml.Node) {
		m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, v)
	}
	for i := range entries {
		e := &entries[i]
		switch {
		case e.refuse != "" || e.key == "queue" && !c.HasQueue():
		case e.each != nil && e.size() == 0:
		case e.routes:
			if c.routes != nil {
				add(e.key, escaped(c.routes))
			}
		case e.each != nil:
			list := &yaml.Node{Kind: yaml.SequenceNode}
			for n := range e.size() {
				item := &yaml.Node{Kind: yaml.MappingNode}
				c.nodes(item, e.each(n))
				list.Content = append(list.Content, item)
			}
			add(e.key, list)
		case e.sub != nil:
			// An optional section that is left out is not printed: its defaults would look like settings.
			sub := &yaml.Node{Kind: yaml.MappingNode}
			if c.nodes(sub, e.sub); len(sub.Content) > 0 && (!e.optional() || c.shown(e)) {
				add(e.key, sub)
			}
		case e.list():
			if text, ok := e.text(); ok {
				list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
				for part := range strings.SplitSeq(text, ", ") {
					list.Content = append(list.Content, textNode(part))
				}
				add(e.key, list)
			}
		case e.secret() != nil && e.secret().File() != "":
			add(e.key+"_file", textNode(e.secret().File()))
		default:
			if text, ok := e.text(); ok {
				n := textNode(text)
				switch e.dst.(type) {
				case *bool:
					n.Tag = "!!bool"
				case *int:
					n.Tag = "!!int"
				case *Bytes:
					if _, err := strconv.Atoi(text); err == nil {
						n.Tag = "!!int"
					}
				}
				add(e.key, n)
			}
		}
	}
}

// shown reports whether an optional section was given: enabled, or with a key that has no default.
func (c *Config) shown(e *entry) bool {
	if *e.present {
		return true
	}
	for i := range e.sub {
		if s := &e.sub[i]; s.dst != nil && s.def == "" {
			if _, ok := s.text(); ok {
				return true
			}
		}
	}
	return false
}

func textNode(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(escapeEnv(s))
	return n
}

// escaped copies a tree and doubles its dollars, so that the printed text reads back the same.
func escaped(n *yaml.Node) *yaml.Node {
	c := *n
	c.HeadComment, c.LineComment, c.FootComment = "", "", ""
	if c.Kind == yaml.ScalarNode {
		c.Value = escapeEnv(c.Value)
	}
	c.Content = make([]*yaml.Node, len(n.Content))
	for i, e := range n.Content {
		c.Content[i] = escaped(e)
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			c.Content[i].Value = e.Value
		}
	}
	return &c
}

// ConfirmReason says which mode of confirmation is in force, and why.
func (c *Config) ConfirmReason() string {
	d := &c.Delivery
	why := "set by delivery.confirm"
	if !d.ConfirmGiven {
		why = "because there is no queue section"
		if c.HasQueue() {
			why = "because there is a queue section"
		}
	}
	return d.Confirm + ", " + why
}

// facts returns what follows from the configuration, one sentence per line.
func (c *Config) facts(l Limits) []string {
	d := &c.Delivery
	lines := []string{
		"confirm: " + c.ConfirmReason() + ".",
		"A pack is final when " + map[string]string{
			"ack":    "a proxy has acked it.",
			"settle": "its connection has stayed healthy for " + durationText(d.Settle) + " after the ack.",
			"queue":  "it was seen in the queue behind the proxies.",
		}[d.Confirm],
		"Commits lag by " + c.commitLag() + ".",
		fmt.Sprintf("Memory: budget %s (%s): %s for fetches (%d at a time of %s each), %s for packs, of which %s are kept for records that are read again.",
			roundBytes(l.Budget), l.BudgetSource, roundBytes(l.FetchBytes), l.MaxConcurrentFetches, roundBytes(int64(l.FetchMaxBytes)), roundBytes(l.SenderBytes), roundBytes(l.RepairBytes)),
		fmt.Sprintf("Memory: at most %d pieces that are not final; they take up to %s on top of the budget.", l.MaxUnfinal, roundBytes(l.UnfinalBytes)),
	}
	if l.GoMemLimit > 0 {
		lines = append(lines, fmt.Sprintf("Memory: GOMEMLIMIT=%s suits the container's limit.", goMemLimit(l.GoMemLimit)))
	}
	lines = append(lines, "Ceiling: "+c.Ceiling(l)+".")
	if d.Confirm == "queue" {
		lines = append(lines, fmt.Sprintf("Window: at most %s and %d packs per connection that are not yet seen in the queue.", roundBytes(c.Queue.WindowBytes.N), c.Queue.WindowPacks))
	}
	for _, n := range c.Notes() {
		lines = append(lines, "Note: "+n+".")
	}
	return lines
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func goMemLimit(n int64) string { return fmt.Sprintf("%dMiB", n/mib) }

// Summary is one line for the start of the log.
func (c *Config) Summary() string {
	to := "proxies " + strings.Join(c.InLong.Proxies, ",")
	if c.HasManager() {
		to = "manager " + strings.Join(c.InLong.ManagerURLs, ",")
	}
	return fmt.Sprintf("kafka %s group %s to inlong %s; confirm %s", strings.Join(c.Kafka.Brokers, ","), c.Kafka.Group, to, c.ConfirmReason())
}
