package model

import "fmt"

func (w *world) dupDebug() string {
	out := "\n"
	for _, c := range w.clusters {
		for _, t := range c.topics {
			for _, l := range t.logs {
				for i, e := range l.entries {
					for _, id := range e.of.records {
						if w.facts[id].puts > 1 {
							out += fmt.Sprintf("%s %d: instance %d seq %d proxy %d sent at %d charged %v read %v ended %v conn ended %d left %v %d\n", c.name, i, e.of.instance, e.of.seq, e.of.conn.proxy.id, e.of.at, e.of.charged, e.read, e.of.ended, e.of.conn.endedAt, e.of.conn.left, e.of.conn.leftAt)
							break
						}
					}
				}
			}
		}
	}
	return out
}
