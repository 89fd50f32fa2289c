package model

import "fmt"

func (s *schedule) debug() string {
	out := "\n"
	for _, m := range s.w.members {
		rd := m.reader
		if rd == nil {
			continue
		}
		out += fmt.Sprintf("answers %v barrier %+v missing %v read %d\n", rd.answers(), rd.barrier, rd.missing, len(rd.read))
		for _, c := range s.w.clusters {
			out += fmt.Sprintf("cluster %s stalled %v written %v sum %+v\n", c.name, c.stalled, c.written, rd.positions.Sum(c.name))
			for n, t := range c.topics {
				for i, l := range t.logs {
					out += fmt.Sprintf("  %s/%d id %v start %d end %d cuts %v\n", n, i, t.id[:2], l.start, l.end(), l.cuts)
				}
			}
		}
		for p, at := range rd.at {
			out += fmt.Sprintf("  at %v %+v\n", p, at)
		}
		for _, of := range m.copies {
			out += fmt.Sprintf("  copy %d at %d heard %v\n", of.seq, of.at, of.heard)
		}
	}
	for _, p := range s.w.proxies {
		out += fmt.Sprintf("proxy %d: up %v frozen %v memory %d conns %d code %d codes %v drops %d faults %d\n", p.id, p.up, p.frozen, len(p.memory), len(p.conns), p.code, p.codes, p.drops, p.faults)
	}
	for _, m := range s.w.members {
		for _, ep := range m.snd.endpoints {
			out += fmt.Sprintf("  endpoint %d: %+v\n", ep.Ref, m.snd.e.EndpointState(&ep.Endpoint, s.w.time()))
		}
		for _, st := range m.snd.streams {
			out += fmt.Sprintf("  stream %d: %+v\n   %+v\n", st.Ref, m.snd.e.Stall(st, s.w.time()), m.snd.e.Confirm(st))
		}
	}
	return out
}
