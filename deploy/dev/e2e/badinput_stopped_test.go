//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"inlong-bridge/connector"
)

// report runs migrate or ledger and returns its report, its exit code and the end of its output.
func (b *bench) report(command string, s settings) (r connector.Report, code int, log string) {
	b.Helper()
	p := b.program(command, command, "-c", b.writeSettings(command, s), "--json")
	code = p.wait(drainLimit)
	return b.reportIn(p.output()), code, p.tail()
}

// reportIn returns the report in an output.
func (b *bench) reportIn(output string) (r connector.Report) {
	b.Helper()
	for line := range strings.Lines(output) {
		if strings.HasPrefix(line, `{"result"`) {
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				b.Fatalf("%v in %s", err, line)
			}
			return r
		}
	}
	b.Fatalf("no report in\n%s", output)
	return r
}

// of is the row of a topic's only partition.
func of(r *connector.Report, topic string) (row connector.PartitionReport) {
	for _, p := range r.Partitions {
		if p.Topic == topic {
			return p
		}
	}
	return row
}

// First everything stops, in run and in migrate. Then the same group goes on: the stream becomes known, the route of the unknown group
// is mended, and what is odd in itself is skipped.
func oddStopped(b *bench, k *kafka, to *faultySink) {
	const group = "odd-stopped"
	all := produceOdd(k, "stop-", to)
	var names []string
	for _, o := range all {
		names = append(names, o.topic)
	}
	unknown := "kind=deny-stream&group=" + streamGroup + "&stream=stop-unknown-stream"
	to.fault(b, unknown)
	admin := b.freeAddr()
	s := bridgeSettings(k.cluster, group, names, to.sink).set("admin.listen", admin).set("delivery.drain", "2s")
	routes := func(more map[string]any) settings {
		var rules []any
		for _, o := range all {
			rules = append(rules, o.route(more))
		}
		return s.set("routes", rules)
	}
	// stopped runs the command until everything stands, and returns its output.
	stopped := func(command string, args ...string) string {
		b.Helper()
		p := b.program(command, append([]string{command, "-c", b.writeSettings("stopped", routes(nil))}, args...)...)
		for _, o := range all {
			b.eventually(drainLimit, func() error {
				status, err := b.statusAt(admin)
				if err == nil {
					err = o.stands(&status)
				}
				if err != nil {
					err = fmt.Errorf("%s: %w\n%s", command, err, p.tail())
				}
				return err
			})
		}
		p.signal(syscall.SIGTERM) // some reasons end by themselves, so that migrate waits
		if code := p.wait(drainLimit); code != 3 {
			b.Errorf("%s: exit %d, want 3: partitions are stopped\n%s", command, code, p.tail())
		}
		return p.output()
	}
	stopped("run")
	for _, o := range all {
		b.Run(o.name, func(t *testing.T) {
			b := b.on(t)
			if at, most := max(0, k.on(b).committed(group)[o.topic][0]), oddBeside*btoi(o.record != nil); o.code != "" && (at > most || o.exact && at != most) {
				b.Errorf("%s is committed at %d, want %d", o.topic, at, most)
			}
			got := to.values(b, o.topic)[o.topic]
			switch {
			case o.code == "":
				o.arrived(b, got, o.good, o.record != nil, 1)
			case o.record == nil || o.held:
				o.arrived(b, got, nil, false, 0)
			default:
				o.arrived(b, got, o.good[:oddBeside], false, 1)
			}
		})
	}
	r := b.reportIn(stopped("migrate", "--json"))
	for _, o := range all {
		if row := of(&r, o.topic); row.Closed != (o.code == "") || o.record != nil && !strings.Contains(row.Reason, o.says) {
			b.Errorf("migrate says of %s: %+v", o.topic, row)
		}
	}
	if r.Result != connector.Unfinished {
		b.Errorf("migrate says %s, want UNFINISHED", r.Result)
	}

	// Everything goes on.
	to.fault(b, unknown+"&on=false")
	for _, o := range all {
		o.group = ""
	}
	r, code, log := b.report("migrate", routes(map[string]any{"on_error": "skip"}))
	if code != 0 || r.Result != connector.Pass {
		b.Errorf("migrate with on_error: skip: exit %d and %s, want 0 and PASS\n%s", code, r.Result, log)
	}
	books, code, log := b.report("ledger", s)
	if code != 0 || books.Sums != r.Sums {
		b.Errorf("ledger: exit %d and %+v, want 0 and the sums of migrate, %+v\n%s", code, books.Sums, r.Sums, log)
	}
	for _, o := range all {
		b.Run(o.name+"/skipped", func(t *testing.T) {
			b := b.on(t)
			delivered := o.code == "" && o.record != nil
			row, skipped := of(&books, o.topic), btoi(o.code != "" && o.record != nil)
			if row.Skipped != skipped || row.Final != int64(len(o.good))+btoi(delivered) || row.Start != 0 {
				b.Errorf("the books of %s are %+v, want %d skipped", o.topic, row, skipped)
			}
			most := 1
			if o.code != "" && !o.exact {
				most = 3 // each start sends what is not committed
			}
			o.arrived(b, to.values(b, o.topic)[o.topic], o.good, delivered, most)
		})
	}
}
