package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"inlong-bridge/connector"
	"inlong-bridge/connector/verify"
)

func newLedger(e *env) *cobra.Command {
	var path string
	var asJSON, compare bool
	o := connector.VerifyOptions{}
	memory := int64(512)
	cmd := &cobra.Command{
		Use:   "ledger -c FILE",
		Short: "print the books of a consumer group",
		Long: `ledger prints what became of every offset that the consumer group of the configuration has
committed, a row per partition and a line with the sums. The books are in the commits, so
they cover all restarts and replicas, and ledger works beside a running bridge and after
one that has ended or crashed:
start + final + skipped + gap + lost + dead-lettered + skipped by hand = committed.

It changes nothing. It lists the topics that the group has commits of. What lies between the
committed offset and the end of the log is not in the books yet, and has no part in the
result.

--verify reads the queue behind the proxies as well (Kafka or Pulsar, all topics into which
the routes may lead, from where the books began, and what is older only if something was not
found) and looks up every offset of the books by the lineage of the packs. Offsets that are not there are asked of the source: those that are
records, and neither skipped nor dead letters, are missing, and named as intervals. Where the
queue may have deleted messages since the books began, or packs carry no lineage, what was
not found is UNPROVEN instead. Repeats are listed too. It works beside a running bridge and
after a migration, opens no bodies, and takes one bit per offset where the queue has holes.
See docs/operations.md.

Exit codes: 0 PASS; 1 Kafka cannot be asked; 2 bad usage or configuration; 3 UNFINISHED: the
group has no commit, or a partition has none that can be believed, and its reason says why;
4 FAIL: records are lost or, with --verify, missing in the queue; 5 UNPROVEN: offsets were
committed before the books began or passed over by kafka.start (latest, file), the mode is
ack and the queue was not read, or the queue cannot tell. If several apply, the first of 1,
4, 3 and 5 counts.`,
		Example: `  inlong-bridge ledger -c bridge.yaml
  inlong-bridge ledger -c bridge.yaml --json
  inlong-bridge ledger -c bridge.yaml --verify
  inlong-bridge ledger -c bridge.yaml --verify --topic orders --json`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(cmd, path)
			if err != nil {
				return err
			}
			deps := connector.Deps{Log: e.startLog(cfg.Log)}
			ask := func() (connector.Report, error) { return connector.Ledger(cmd.Context(), cfg, deps) }
			if compare {
				if !cfg.HasQueue() {
					return usagef("--verify: %s has no queue section; hint: say there where the queue behind the proxies is", path)
				}
				if memory < 1 {
					return usagef("--memory %d: want at least 1 MiB", memory)
				}
				o.Memory = memory << 20
				p := verifyProgress{live: newLive(e.stderr)}
				o.Progress, o.Say = p.read, p.say
				defer p.live.clear()
				ask = func() (connector.Report, error) { return connector.Verify(cmd.Context(), cfg, deps, o) }
			} else if given := cmd.Flags().Changed("topic") || o.NoSource || o.QueueComplete || cmd.Flags().Changed("memory"); given {
				return usagef("--topic, --no-source, --queue-complete and --memory apply to --verify")
			}
			report, err := ask()
			if err != nil {
				if cmd.Context().Err() != nil {
					return errors.New("stopped before everything was answered")
				}
				return err
			}
			if err := printReport(e.stdout, report, asJSON); err != nil {
				return err
			}
			return migrateError(report, nil)
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as one JSON object on stdout")
	flags := cmd.Flags()
	flags.BoolVar(&compare, "verify", false, "compare the books with what lies in the queue")
	flags.StringSliceVar(&o.Topics, "topic", nil, "with --verify: only this `topic` of the source; may be repeated")
	flags.BoolVar(&o.NoSource, "no-source", false, "with --verify: do not ask the source which offsets are records")
	flags.BoolVar(&o.QueueComplete, "queue-complete", false, "with --verify: you know that the queue has deleted nothing since the books began")
	flags.Int64Var(&memory, "memory", memory, "with --verify: so many `MiB` for the offsets at most")
	return cmd
}

// verifyProgress says how far a verification has come.
type verifyProgress struct {
	live *live
	step string
}

func (p *verifyProgress) say(step string) {
	p.step = step
	p.live.update(time.Now(), 0, step)
}

func (p *verifyProgress) read(read, total int64) {
	share, of := 0.0, ""
	if total > 0 {
		share, of = float64(read)/float64(total), " of "+thousands(total)
	}
	p.live.update(time.Now(), share, fmt.Sprintf("%s: %s%s messages", p.step, thousands(read), of))
}

// printQueue prints what was found of each partition in the queue, after the books.
func printQueue(w io.Writer, v connector.Report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, err := fmt.Fprintln(t, "\nTOPIC\tPARTITION\tIN THE QUEUE\tMISSING\tNO PROOF\tBY NUMBER\tDEAD LETTERS\tDUPLICATES\tBEYOND THE BOOKS\tNOTE")
	for i := range v.Partitions {
		p := &v.Partitions[i]
		q := p.Queue
		if q == nil {
			_, e := fmt.Fprintf(t, "%s\t%d\t-\t-\t-\t-\t-\t-\t-\tnot verified: there are no books that can be believed\n", p.Topic, p.Partition)
			err = errors.Join(err, e)
			continue
		}
		var notes []string
		if len(q.Repeated) > 0 {
			notes = append(notes, "duplicates at "+intervalsText(q.Repeated, q.MoreAgain))
		}
		if q.Unknown > 0 {
			notes = append(notes, fmt.Sprintf("%d offsets that were not found are told by the books alone: %s", q.Unknown, q.Source))
		}
		_, e := fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", p.Topic, p.Partition, q.Found, q.Missing, q.NoProof, q.ByNumber,
			q.Letters, q.Duplicates, q.Outside, strings.Join(notes, "; "))
		err = errors.Join(err, e)
	}
	s := v.Queue
	err = errors.Join(err, t.Flush())
	_, e := fmt.Fprintf(w, "%d messages of %d topics were read: %d packs of this group, %d of others, %d without lineage, %d unreadable\n%s",
		s.Messages, s.Topics, s.Packs, s.Foreign, s.NoLineage, s.Unreadable, sinceText(s))
	return errors.Join(err, e)
}

// sinceText says from where the queue was read.
func sinceText(s *connector.QueueSums) (text string) {
	if s.NoPosition != "" {
		text = "topics were read from their beginning, because their brokers do not tell where the books began: " + s.NoPosition + "\n"
	}
	if s.Since == nil {
		return text
	}
	since := s.Since.UTC().Format(time.RFC3339)
	if s.OlderRead {
		return text + "not everything was found since " + since + ", when the books began: the older messages were read as well\n"
	}
	var left []string
	if counted := s.Later - s.Uncounted; counted > 0 {
		left = append(left, fmt.Sprintf("%d older messages of %d partitions were not read", s.Skipped, counted))
	}
	if s.Uncounted > 0 {
		left = append(left, fmt.Sprintf("what is older in %d partitions, which do not count it, was not read", s.Uncounted))
	}
	return text + "reading began at " + since + ", when the books began: " + strings.Join(left, "; ") + "\n"
}

// intervalsText names the first intervals.
func intervalsText(all []verify.Interval, more int64) string {
	const shown = 5
	var words []string
	for _, v := range all[:min(len(all), shown)] {
		words = append(words, fmt.Sprintf("%d-%d", v.First, v.Last))
	}
	if more += int64(max(len(all)-shown, 0)); more > 0 {
		words = append(words, fmt.Sprintf("and %d more intervals", more))
	}
	return strings.Join(words, ", ")
}
