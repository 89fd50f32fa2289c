package observe

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

// Condition is one reason, and how many partitions it holds back.
type Condition struct {
	reason.Reason
	Partitions int `json:"partitions"`
}

// derived returns the shared reasons that follow from a snapshot: those of proxies, streams and queue clusters, whose
// components report their state and not its changes.
func derived(s *Status, now time.Time) []reason.Reason {
	var out []reason.Reason
	add := func(code reason.Code, scope reason.Scope, object, text string) {
		out = append(out, reason.New(reason.Key{Code: code, Scope: scope, Object: object}, now, text))
	}
	if len(s.Group.Missing) > 0 {
		add(reason.MissingTopics, reason.Group, "", "topics that routes name do not exist: "+few(s.Group.Missing)+
			"; hint: create them, or correct the names in routes; they are consumed once they exist")
	}
	for _, p := range s.Group.Unmatched {
		add(reason.Unmatched, reason.Group, p, "the pattern "+p+" of routes matches no topic; hint: patterns are regular expressions over the whole name; inlong-bridge explain TOPIC shows why a topic does not match")
	}
	for _, l := range s.Loops {
		if why := l.hung(now); why != "" {
			add(reason.Hung, reason.Process, l.Name, why+"; hint: take a goroutine profile (admin.pprof) and restart the bridge")
		}
	}
	connected := connected(s)
	if !connected {
		add(reason.NoProxy, reason.Process, "", noProxy(s)+hintEndpoint)
	}
	for i := range s.Sender.Endpoints {
		if e := &s.Sender.Endpoints[i]; ill(e) || e.Connections == 0 {
			add(reason.Endpoint, reason.Proxy, e.Address, "proxy "+e.Address+": "+cmp.Or(e.Reason, e.LastError, "not connected")+hintEndpoint)
		}
	}
	if rateLimits(s) {
		add(reason.Rate, reason.Process, "", s.RateReached)
	}
	for i := range s.Sender.Streams {
		if st := &s.Sender.Streams[i]; st.Stall != "" && connected && !sharedCause(st.StallCode) {
			add(streamCode(st.StallCode), reason.Stream, st.Group+"/"+st.Stream, "stream "+st.Group+"."+st.Stream+": "+st.Stall)
		}
	}
	if s.Sender.Discovery.Stale {
		add(reason.Discovery, reason.Process, "", "the list of proxies is from "+s.Sender.Discovery.Source+" and may be old: "+cmp.Or(s.Sender.Discovery.LastError, "the Manager was not asked yet"))
	}
	if s.Queue != nil && !s.Queue.Answers && len(s.Routes) > 0 {
		for _, c := range s.Queue.Clusters {
			if !c.Answers {
				add(reason.Queue, reason.QueueCluster, c.Name, "queue cluster "+c.Name+" does not answer, so what is in it does not become final, and nothing that proxies lost is sent again: "+
					cmp.Or(c.LastError, "it was not asked yet"))
			}
		}
	}
	if q := s.QueueSource; q != nil {
		if q.Restart != "" {
			add(reason.RestartNeeded, reason.Process, "", "restart to apply: "+q.Restart)
		}
		for _, u := range q.Unreadable {
			if !seenInQueue(s, u.Group, u.Stream) { // else the proxies take no notice of the wrap type
				add(reason.WrapType, reason.Stream, u.Group+"/"+u.Stream, u.String())
			}
		}
	}
	return out
}

// sharedCause reports whether a stream stalls for what has a reason of its own: that proxies are away or paused, or that a queue
// cluster has not answered yet.
func sharedCause(code sdk.StreamCode) bool {
	return code == sdk.StreamNoProxy || code == sdk.StreamProxiesPaused || code == sdk.StreamNotWatched
}

// streamCode is the code of a stalled stream.
func streamCode(code sdk.StreamCode) reason.Code {
	switch code {
	case sdk.StreamRefused:
		return reason.Refused
	case sdk.StreamUnknown:
		return reason.UnknownStream
	case sdk.StreamNotInQueue, sdk.StreamTopicMissing, sdk.StreamNeverSeen:
		return reason.NotInQueue
	default:
		return reason.StreamStalled
	}
}

// seenInQueue reports whether a pack of a stream was ever seen.
func seenInQueue(s *Status, group, stream string) bool {
	for i := range s.Sender.Streams {
		if st := &s.Sender.Streams[i]; st.Group == group && st.Stream == stream {
			return st.PacksFinal > 0
		}
	}
	return false
}

// connected reports whether any proxy is connected, or nobody has asked for one yet.
func connected(s *Status) bool {
	if len(s.Sender.Endpoints) == 0 && len(s.Routes) == 0 {
		return true
	}
	return slices.ContainsFunc(s.Sender.Endpoints, func(e sdk.EndpointStatus) bool { return e.Connections > 0 })
}

// noProxy says why no proxy is connected.
func noProxy(s *Status) string {
	why := "no proxy is reachable"
	if s.Sender.Discovery.LastError != "" {
		why += ": " + s.Sender.Discovery.LastError
	} else if len(s.Sender.Endpoints) > 0 && s.Sender.Endpoints[0].LastError != "" {
		why += ": " + s.Sender.Endpoints[0].LastError
	}
	return why
}

// assemble lists all reasons of a snapshot, shared ones first, each with the partitions that it holds back, and fills the fields of
// partitions that follow from their conditions.
func assemble(s *Status, shared []reason.Reason, now time.Time) {
	at := make(map[reason.Key]int, len(shared))
	for _, r := range shared {
		at[r.Key] = len(s.Conditions)
		s.Conditions = append(s.Conditions, Condition{Reason: r})
	}
	for i := range s.Parts {
		p := &s.Parts[i]
		for _, e := range p.Condition.Entries() {
			j, ok := at[e.Key]
			if !ok { // its own, or a shared one that nobody has posted any more
				j = len(s.Conditions)
				r := reason.New(e.Key, e.Since, unposted(e.Key))
				if e.Own != nil {
					r = *e.Own
				}
				at[e.Key] = j
				s.Conditions = append(s.Conditions, Condition{Reason: r})
			}
			s.Conditions[j].Partitions++
			p.Conditions = append(p.Conditions, e.Key)
		}
		p.legacy(func(k reason.Key) *reason.Reason { return &s.Conditions[at[k]].Reason }, now)
	}
}

// unposted is the text of a shared reason that nobody has posted.
func unposted(k reason.Key) string {
	if k.Code == reason.StreamFull {
		return "stream " + strings.Replace(k.Object, "/", ".", 1) + " holds as many waiting bytes as it may; hint: look for the stream's own reason, and at the proxies; memory.budget bounds the bytes"
	}
	return reason.KindOf(k.Code).Meaning
}

// legacy fills the fields that /status had before conditions. They go with 0.1.0.
func (p *PartitionStatus) legacy(reasonOf func(reason.Key) *reason.Reason, now time.Time) {
	c := p.Condition
	show := func(e *gate.Entry) { p.Stall, p.Reason = string(e.Code), reasonOf(e.Key).Text() }
	switch e := c.Stop(); {
	case e != nil:
		show(e)
		p.Stopped = true
	default:
		for _, code := range []reason.Code{reason.Fault, reason.StreamFull, reason.LetterWait, reason.Budget, reason.MaxUnfinal} {
			if e := c.Find(code); e != nil && (e.Closes || code == reason.Fault || code == reason.Budget) {
				show(e)
				break
			}
		}
	}
	if e := c.Behind(); e != nil && reason.KindOf(e.Code).Stuck != "" { // what is overdue has its own name only
		p.Stuck, p.StuckCode, p.StuckReason = now.Sub(e.Behind), reason.KindOf(e.Code).Stuck, reasonOf(e.Key).Text()
	}
}

const (
	fewNames = 20      // objects that one line names
	fewBytes = 1 << 10 // of their names
)

const hintEndpoint = "; hint: look at the proxy, and at the network between it and the bridge"

// few names the first of many objects, and shows that it leaves some out. Whoever calls it says how many there are.
func few(names []string) string {
	var b strings.Builder
	for i, name := range names {
		if i == fewNames || b.Len()+len(name) > fewBytes && i > 0 {
			b.WriteString(" ...")
			break
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(clip(name, fewBytes))
	}
	return b.String()
}

// clip shortens a text to about n bytes.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "..."
}
