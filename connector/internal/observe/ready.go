package observe

import (
	"fmt"
	"strconv"
	"time"

	"inlong-bridge/connector/reason"
)

// Readiness says whether the bridge has joined its group and its loops run, and what keeps records from moving.
type Readiness struct {
	Ready   bool     `json:"ready"`             // joined once, loops alive, not draining: what /readyz says
	Strict  bool     `json:"strict"`            // nothing keeps records from moving: what /readyz?strict=1 says
	Reasons []string `json:"reasons,omitempty"` // one line per code
}

// notReady are the codes with which the bridge itself is not ready, whatever its surroundings do.
var notReady = []reason.Code{reason.Starting, reason.Draining, reason.Hung}

// readiness is short, however many partitions and streams there are: a line per code.
func readiness(conditions []Condition, parts []PartitionStatus) Readiness {
	r := Readiness{Ready: true, Strict: true}
	for _, code := range codesOf(conditions) {
		kind := reason.KindOf(code)
		if !kind.Strict {
			continue
		}
		r.Strict = false
		for _, c := range notReady {
			r.Ready = r.Ready && c != code
		}
		r.Reasons = append(r.Reasons, line(code, conditions, parts))
	}
	return r
}

// codesOf returns the codes in the order of the table, each once.
func codesOf(conditions []Condition) (out []reason.Code) {
	has := make(map[reason.Code]bool)
	for i := range conditions {
		has[conditions[i].Code] = true
	}
	for _, k := range reason.Kinds() {
		if has[k.Code] {
			out = append(out, k.Code)
		}
	}
	return out
}

const maxSentence = 512 // bytes of a sentence in a line

// line says everything about one code: how many objects have it, the first of them, the partitions held back, and one sentence.
func line(code reason.Code, conditions []Condition, parts []PartitionStatus) string {
	var first *Condition
	var objects, held []string
	for i := range conditions {
		if c := &conditions[i]; c.Code == code {
			if first == nil {
				first = c
			}
			if c.Object != "" {
				objects = append(objects, c.Object)
			}
		}
	}
	partitions, behind := 0, time.Duration(0)
	for i := range parts {
		if p := &parts[i]; p.Condition.Has(code) {
			partitions++
			if len(held) <= fewNames {
				held = append(held, p.Topic+"/"+strconv.Itoa(int(p.Partition)))
			}
			if e := p.Condition.Behind(); e != nil && e.Code == code {
				behind = max(behind, p.Stuck)
			}
		}
	}
	text := string(code)
	switch {
	case first.Scope == reason.Partition:
		text += ": " + count(len(objects), "partition") + " (" + few(objects) + ")"
	case len(objects) > 0:
		text += ": " + count(len(objects), objectNames[first.Scope]) + " (" + few(objects) + ")"
	}
	if first.Scope != reason.Partition && partitions > 0 {
		text += ", holds back " + count(partitions, "partition") + " (" + few(held) + ")"
	}
	if behind > 0 {
		text += fmt.Sprintf(", no progress for %v", behind.Round(time.Second))
	}
	return text + ": " + clip(first.Text(), maxSentence)
}

var objectNames = map[reason.Scope]string{
	reason.Process: "part", reason.Group: "kind", reason.QueueCluster: "queue cluster", reason.Proxy: "proxy", reason.Stream: "stream", reason.Partition: "partition",
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	if what == "proxy" {
		what = "proxie"
	}
	return strconv.Itoa(n) + " " + what + "s"
}
