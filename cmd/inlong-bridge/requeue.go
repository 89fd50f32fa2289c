package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"inlong-bridge/connector"
	"inlong-bridge/connector/config"
	"inlong-bridge/mapping"
	"inlong-bridge/mapping/suggest"
)

const requeueHelp = `requeue delivers the originals of dead letters (dead_letter.topic) once their cause is mended,
to where the routes of the configuration take them now. Nothing else reads that topic.

It is a migration of the dead-letter topic: it takes the end offsets at its start, goes up to
them and ends. It may run beside the bridge, and has a consumer group of its own,
<kafka.group>.requeue. With a choice of letters the name goes on with a short hash of the
choice, so that each choice has its own progress. Stop it at any time: the next run with the
same flags goes on from the committed offsets. It goes on only past records that are final or
dead letters again. A record that fails again is written to the end of the dead-letter topic,
with one more attempt, under its old key; --on-error stop stops its partition instead.

Of several letters of one record the newest counts, and a null with the key of a letter
withdraws it. Letters that are not chosen, older or withdrawn are counted as skipped. A record
that is no letter stops its partition, and so does the letter of a whole batch that could not
be read; --skip-unreadable passes over them and leaves them in the topic, and --skip over a
single record.

--dry-run shows how many letters there are by reason, topic and partition, and where each kind
would go, and changes nothing. --verbose shows each letter.

--to-source writes the originals into the topics that they came from instead: same key,
value, headers, timestamp and partition, with all replicas' acks. EVERY CONSUMER OF THESE
TOPICS SEES THE RECORDS AGAIN, not only the bridge; so it wants --yes. A letter of a topic
that was deleted and created again, or of another cluster, stops its partition unless
--other-topic is given. Its group is <kafka.group>.requeue-to-source.

Exit codes: 0 PASS; 1 failure while running; 2 bad usage or configuration; 3 UNFINISHED: a
partition is open or stopped, and its reason says whether another start helps; 4 FAIL:
letters are lost or missing; 5 UNPROVEN: the mode is ack, or offsets were committed without
books. If several apply, the first of 1, 4, 3 and 5 counts.`

// toSourceWarning is what --yes confirms.
const toSourceWarning = "--to-source writes the records into the topics that they came from, and every consumer of these topics will see them again, not only the bridge"

type requeueFlags struct {
	path, group, onError                                     string
	reasons, topics, offsets                                 []string
	partitions                                               []int32
	skip                                                     skipFlags
	since, until                                             string
	rate                                                     int
	dry, verbose, json, skipUnreadable, toSource, yes, other bool
}

func newRequeue(e *env) *cobra.Command {
	var f requeueFlags
	cmd := &cobra.Command{
		Use:   "requeue -c FILE",
		Short: "deliver dead letters once their cause is mended",
		Long:  requeueHelp,
		Example: `  inlong-bridge requeue -c bridge.yaml --dry-run
  inlong-bridge requeue -c bridge.yaml --reason unrouted --topic orders --rate 500
  inlong-bridge requeue -c bridge.yaml --topic orders --to-source --yes`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := f.options()
			if err != nil {
				return err
			}
			cfg, err := loadConfig(cmd, f.path)
			if err != nil {
				return err
			}
			skips, err := f.skip.requests()
			if err != nil {
				return err
			}
			return f.run(cmd, e, cfg, o, skips)
		},
	}
	configFlag(cmd, &f.path)
	f.skip.register(cmd)
	flags := cmd.Flags()
	flags.StringSliceVar(&f.reasons, "reason", nil, "only letters with this reason `code`; may be repeated")
	flags.StringSliceVar(&f.topics, "topic", nil, "only records of this source topic, by its `name`; may be repeated")
	flags.Int32SliceVar(&f.partitions, "partition", nil, "only records of this partition `number` of their source; may be repeated")
	flags.StringSliceVar(&f.offsets, "offset", nil, "only records with this offset in their source, or in this `range`: 17 or 17-40; may be repeated")
	flags.StringVar(&f.since, "since", "", "only what became a letter at this `time` or later: 2026-01-31T12:00:00Z")
	flags.StringVar(&f.until, "until", "", "only what became a letter before this `time`")
	flags.IntVar(&f.rate, "rate", 0, "deliver at most this many `records` per second; 0 for no limit")
	flags.StringVar(&f.onError, "on-error", "dead_letter", "what becomes of a record that fails again: a dead letter again, or its partition stops (stop)")
	flags.BoolVar(&f.skipUnreadable, "skip-unreadable", false, "pass over records that are no letters, and letters of batches that could not be read")
	flags.StringVar(&f.group, "group", "", "the `name` of the consumer group that keeps the progress")
	flags.BoolVar(&f.dry, "dry-run", false, "show what would be done, and change nothing")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "with --dry-run: show each letter")
	flags.BoolVar(&f.toSource, "to-source", false, "write the records into the topics that they came from, where every consumer sees them again")
	flags.BoolVar(&f.yes, "yes", false, "with --to-source: do it")
	flags.BoolVar(&f.other, "other-topic", false, "with --to-source: also into a topic that was created again, or in another cluster")
	flags.BoolVar(&f.json, "json", false, "print the report as one JSON object on stdout, the progress on stderr")
	return cmd
}

// options checks the flags.
func (f *requeueFlags) options() (connector.RequeueOptions, error) {
	o := connector.RequeueOptions{Group: f.group, Rate: f.rate, StopAgain: f.onError == "stop", SkipUnreadable: f.skipUnreadable, OtherTopic: f.other}
	c := &o.Choice
	c.Reasons, c.Topics, c.Partitions = f.reasons, f.topics, f.partitions
	var known []string
	for class := range mapping.Class(mapping.Classes) {
		known = append(known, class.String())
	}
	for _, r := range f.reasons {
		if !slices.Contains(known, r) {
			hint := "the reasons of letters are " + strings.Join(known, ", ")
			if near := suggest.Closest(r, known); near != "" {
				hint = "did you mean " + near + "?"
			}
			return o, usagef("--reason %q: no letter has it; hint: %s", r, hint)
		}
	}
	for _, text := range f.offsets {
		first, last, isRange := strings.Cut(text, "-")
		from, err := strconv.ParseInt(first, 10, 64)
		to := from
		if err == nil && isRange {
			to, err = strconv.ParseInt(last, 10, 64)
		}
		if err != nil || from < 0 || to < from || to == 1<<63-1 {
			return o, usagef("--offset %q: want an offset such as 17, or first and last such as 17-40", text)
		}
		c.Offsets = append(c.Offsets, connector.OffsetRange{From: from, To: to + 1})
	}
	for _, t := range []struct {
		flag, text string
		to         *time.Time
	}{{"since", f.since, &c.Since}, {"until", f.until, &c.Until}} {
		if t.text == "" {
			continue
		}
		var err error
		if *t.to, err = time.Parse(time.RFC3339, t.text); err != nil {
			return o, usagef("--%s %q: want a time such as 2026-01-31T12:00:00Z", t.flag, t.text)
		}
	}
	switch {
	case f.onError != "dead_letter" && f.onError != "stop":
		return o, usagef("--on-error %q: want dead_letter or stop", f.onError)
	case f.rate < 0:
		return o, usagef("--rate %d: want 0 or more", f.rate)
	case f.verbose && !f.dry:
		return o, usagef("--verbose shows the letters of a --dry-run, which is not given")
	case f.other && !f.toSource, f.yes && !f.toSource:
		return o, usagef("--yes and --other-topic belong to --to-source, which is not given")
	case len(f.skip.records) > 0 && (f.toSource || f.dry):
		return o, usagef("--skip is for a run to the routes, not for --to-source or --dry-run; hint: choose the other letters, or withdraw that one (docs/requeue.md)")
	case f.toSource && !f.yes && !f.dry:
		return o, usagef("%s; hint: add --yes if that is meant, or --dry-run to see what would be written", toSourceWarning)
	}
	return o, nil
}

func (f *requeueFlags) run(cmd *cobra.Command, e *env, cfg *config.Config, o connector.RequeueOptions, skips []connector.HandSkip) error {
	log := e.startLog(cfg.Log)
	q, err := connector.NewRequeue(cfg, bridgeDeps(log, skips), o)
	if err != nil {
		return &usageError{err}
	}
	if f.dry {
		return f.dryRun(cmd, e.stdout, q)
	}
	progress := newMigrateProgress(e, log, cfg, f.json)
	var report connector.RequeueReport
	if f.toSource {
		log.Warn(toSourceWarning, "group", q.SourceGroup())
		report, err = q.ToSource(cmd.Context(), progress.show)
	} else {
		report, err = q.Run(cmd.Context(), e.hard, progress.show)
	}
	progress.live.clear()
	if err != nil && len(report.Partitions) == 0 {
		return err
	}
	if f.json {
		if err := json.NewEncoder(e.stdout).Encode(report); err != nil {
			return err
		}
	} else if err := printRequeue(e.stdout, report); err != nil {
		return err
	}
	return migrateError(report.Report, err)
}

func printRequeue(w io.Writer, r connector.RequeueReport) error {
	if err := printLetters(w, r.Letters); err != nil {
		return err
	}
	return printReport(w, r.Report, false)
}

// dryRun prints what would be done.
func (f *requeueFlags) dryRun(cmd *cobra.Command, w io.Writer, q *connector.Requeue) error {
	var failed error
	var each func(connector.DryLetter)
	if f.verbose {
		enc := json.NewEncoder(w)
		each = func(l connector.DryLetter) {
			if f.json {
				failed = errors.Join(failed, enc.Encode(l))
				return
			}
			_, err := fmt.Fprintf(w, "%d@%d  %s  %s  %s  attempts %d  %s  to %s: %s\n", l.Partition, l.Offset, l.Verdict, l.Reason, l.Of, l.Attempts,
				l.Time.UTC().Format(time.RFC3339), l.To, l.Sentence)
			failed = errors.Join(failed, err)
		}
	}
	d, err := q.DryRun(cmd.Context(), f.toSource, each)
	if err != nil {
		return err
	}
	if f.json {
		return errors.Join(failed, json.NewEncoder(w).Encode(d))
	}
	_, err = fmt.Fprintf(w, "dry run of group %s: %s\n", d.Group, d.Found)
	return errors.Join(failed, printLetters(w, d.Letters), err)
}

func printLetters(w io.Writer, letters []connector.LetterCount) error {
	if len(letters) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, failed := fmt.Fprint(t, "LETTERS\tVERDICT\tREASON\tTOPIC\tPARTITION\tTO\n")
	for i := range letters {
		l := &letters[i]
		_, err := fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%d\t%s\n", l.Letters, l.Verdict, l.Reason, l.Topic, l.Partition, l.To)
		failed = errors.Join(failed, err)
	}
	return errors.Join(failed, t.Flush())
}
