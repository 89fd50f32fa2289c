package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/spf13/cobra"

	"inlong-bridge/connector/confirm"
)

const decodeHelp = `decode shows the messages that lie in the queue behind the proxies: group, stream, attributes
and records, of every version of InLongMsg. It reads beside everything else, changes nothing,
and holds one fetch in memory, however long a topic is.

Name the queue with -c (its queue section, or the Manager), with --brokers, or with --pulsar.
Then choose a topic with --topic, or a stream with --group and --stream, whose topic follows
from the configuration or is {group}.{stream}. Without a queue, decode opens single messages:
--hex, a FILE, or - for standard input, each of which is the value of a message as it lies in the
queue or a hex dump of it (plain, xxd, hexdump -C).

--from and --to take an offset (Kafka 1234, Pulsar ledger:entry), a time
(2026-01-02T15:04:05Z) or a duration before now (15m); --from -10 begins 10 offsets before the
end (Kafka). Times are those of the queue's messages. By default decode reads from the
beginning to the end that the topic has when it is asked.

Records are printed as text if all of it is printable, quoted if it has line breaks or tabs,
else as hex after 0x. Long records and packs are cut unless --full is given. --json prints an
object per message, with base64 for what is not UTF-8; docs/operations.md has its keys.

--dedupe leaves out repeats: records whose source offset came before, by the lineage of the
packs (attribute src). It begins with what --from chooses: a repeat of what lies before that
may be left out too. Records without lineage, or of which too much had to be forgotten, are
shown, and their number is said at the end.

A message that is no InLongMsg, or is damaged, is shown as such with the reason.

Exit codes: 0 all was read; 1 the queue cannot be read; 2 bad usage or configuration;
3 stopped before the end; 5 all was read, and something in it is damaged or was deleted
meanwhile.`

// decodeFlags are the flags of decode.
type decodeFlags struct {
	config, pulsar, tokenFile, cluster string
	brokers, topics                    []string
	group, stream                      string
	partition                          int32
	from, to                           string
	limit                              int64
	count, asJSON, full, dedupe        bool
	grep, hex                          string

	onePartition bool
	pattern      *regexp.Regexp
}

func newDecode(e *env) *cobra.Command {
	var f decodeFlags
	cmd := &cobra.Command{
		Use:   "decode [FILE]",
		Short: "show what lies in the queue behind the proxies",
		Long:  decodeHelp,
		Example: `  inlong-bridge decode -c bridge.yaml --group shop --stream orders --from 15m
  inlong-bridge decode -c bridge.yaml --group shop --stream orders --grep 'order-4711'
  inlong-bridge decode --brokers mq-1:9092 --topic shop.orders --partition 0 --from 1234 --limit 1 --full
  inlong-bridge decode --pulsar pulsar://mq-1:6650 --topic persistent://public/shop/orders --count
  kcat -C -b mq-1:9092 -t shop.orders -p 0 -o 1234 -c 1 -D '' | inlong-bridge decode -`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, files []string) error {
			f.onePartition = cmd.Flags().Changed("partition")
			if err := f.check(files, cmd.Flags().Changed("hex")); err != nil {
				return err
			}
			d := f.decoder(e.stdout)
			var err error
			if len(files) > 0 || cmd.Flags().Changed("hex") {
				err = f.decodeValue(d, files)
			} else {
				err = f.decodeQueue(cmd, e, d)
			}
			return d.end(cmd.Context(), e.stderr, err)
		},
	}
	flags := cmd.Flags()
	configFlag(cmd, &f.config)
	flags.StringSliceVar(&f.brokers, "brokers", nil, "the brokers of a Kafka queue, `host:port`, with commas between")
	flags.StringVar(&f.pulsar, "pulsar", "", "the service `URL` of a Pulsar queue")
	flags.StringVar(&f.tokenFile, "token-file", "", "with --pulsar: the `file` with the token")
	flags.StringVar(&f.cluster, "cluster", "", "with -c: read only the queue cluster of this `name`")
	flags.StringSliceVar(&f.topics, "topic", nil, "the `topic` to read; may be repeated")
	flags.StringVar(&f.group, "group", "", "show only packs of this `group`")
	flags.StringVar(&f.stream, "stream", "", "show only packs of this `stream`")
	flags.Int32Var(&f.partition, "partition", 0, "read only the partition of this `number`")
	flags.StringVar(&f.from, "from", "", "begin at this `offset`, time or duration before now")
	flags.StringVar(&f.to, "to", "", "end before this `offset`, time or duration before now")
	flags.Int64Var(&f.limit, "limit", 0, "end after showing this `number` of messages; 0 is no limit")
	flags.BoolVar(&f.count, "count", false, "count messages, records and bytes by stream and sender instead of showing them")
	flags.BoolVar(&f.dedupe, "dedupe", false, "leave out records that came before, by the packs' lineage")
	flags.StringVar(&f.grep, "grep", "", "show only records that match this regular `expression`")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object per message, or with --count per row")
	flags.BoolVar(&f.full, "full", false, "print long records and large packs in full")
	flags.StringVar(&f.hex, "hex", "", "decode this message, given as `hex` digits, instead of a queue")
	return cmd
}

// check refuses flags that contradict each other or lack something.
func (f *decodeFlags) check(files []string, hex bool) error {
	places := 0
	for _, given := range []bool{f.config != "", len(f.brokers) > 0, f.pulsar != "", len(files) > 0, hex} {
		if given {
			places++
		}
	}
	fromQueue := len(files) == 0 && !hex
	switch {
	case places == 0:
		return usagef("nothing to decode; hint: name a queue with -c, --brokers or --pulsar, or give a FILE, - or --hex")
	case places > 1:
		return usagef("more than one of -c, --brokers, --pulsar, --hex and FILE; hint: give one of them")
	case fromQueue && len(f.topics) == 0 && (f.group == "" || f.stream == ""):
		return usagef("no topic; hint: give --topic, or --group and --stream")
	case !fromQueue && (len(f.topics) > 0 || f.from != "" || f.to != "" || f.onePartition || f.cluster != ""):
		return usagef("--topic, --partition, --from, --to and --cluster apply to a queue; hint: name it with -c, --brokers or --pulsar")
	case f.limit < 0:
		return usagef("--limit %d: want 0 or more", f.limit)
	case f.count && f.grep != "":
		return usagef("--count together with --grep; hint: --grep shows the records, and wc -l counts them")
	case f.cluster != "" && f.config == "":
		return usagef("--cluster without -c; hint: only a configuration names clusters")
	case f.tokenFile != "" && f.pulsar == "":
		return usagef("--token-file without --pulsar")
	}
	if f.grep != "" {
		var err error
		if f.pattern, err = regexp.Compile(f.grep); err != nil {
			return usagef("--grep %q: %w", f.grep, err)
		}
	}
	return nil
}

// errEnough ends the reading when --limit is reached.
var errEnough = errors.New("the limit is reached")

// decoder takes messages, and shows or counts those that are wanted.
type decoder struct {
	out           io.Writer
	show          func(p *decodedPack) error
	finish        func() error // nil for none
	pattern       *regexp.Regexp
	group, stream string
	limit         int64
	dedupe        *dedupe // nil to show repeats

	decodeSums
}

// decodeSums is what a decoder met.
type decodeSums struct {
	messages, records, shown, matches, damaged, others int64
	badLineage, repeats, untold                        int64
}

func (f *decodeFlags) decoder(out io.Writer) *decoder {
	d := &decoder{out: out, pattern: f.pattern, group: f.group, stream: f.stream, limit: f.limit}
	if f.dedupe {
		d.dedupe = newDedupe(f.group != "" && f.stream != "")
	}
	switch {
	case f.count:
		c := newDecodeCount(out, f.asJSON)
		d.show, d.finish = c.add, c.print
	case f.asJSON:
		d.show = func(p *decodedPack) error { return printPackJSON(out, p) }
	default:
		d.show = func(p *decodedPack) error { return printPack(out, p, f.full) }
	}
	return d
}

// take shows a message if it is wanted. Damaged ones always are: nobody can tell whose they are.
func (d *decoder) take(m *confirm.Message) error {
	p := openPack(m)
	d.messages++
	switch {
	case p.err != nil:
		d.damaged++
	case d.group != "" && p.group != d.group || d.stream != "" && p.stream != d.stream:
		d.others++
		return nil
	}
	d.records += int64(len(p.records))
	if p.lineageErr != nil {
		d.badLineage++
	}
	if d.dedupe != nil && p.err == nil {
		before := len(p.records)
		untold, err := d.dedupe.drop(p)
		if err != nil {
			return err
		}
		d.repeats, d.untold = d.repeats+int64(before-len(p.records)), d.untold+untold
		if before > 0 && len(p.records) == 0 {
			return nil
		}
	}
	if d.pattern != nil && p.err == nil {
		if p.match(d.pattern); len(p.records) == 0 {
			return nil
		}
		d.matches += int64(len(p.records))
	}
	d.shown++
	if err := d.show(p); err != nil {
		return err
	}
	if d.shown == d.limit {
		return errEnough
	}
	return nil
}

// end finishes the output and says what was met. err is that of the reading.
func (d *decoder) end(ctx context.Context, stderr io.Writer, err error) error {
	enough := errors.Is(err, errEnough)
	if enough {
		err = nil
	}
	stopped := err != nil && ctx.Err() != nil
	if d.finish != nil && (err == nil || stopped) {
		if err := d.finish(); err != nil {
			return err
		}
	}
	if err != nil && !stopped {
		return err
	}
	text := fmt.Sprintf("%d %s read with %d %s", d.messages, plural(int(d.messages), "message"), d.records, plural(int(d.records), "record"))
	if d.pattern != nil {
		text += fmt.Sprintf(", %d of which match in %d", d.matches, d.shown)
	}
	if d.others > 0 {
		text += fmt.Sprintf("; %d of other streams not shown", d.others)
	}
	if d.dedupe != nil {
		text += fmt.Sprintf("; %d repeats left out", d.repeats)
		if d.untold > 0 {
			text += fmt.Sprintf(", and %d records shown of which nobody can tell whether they are repeats", d.untold)
		}
	}
	if d.badLineage > 0 {
		text += fmt.Sprintf("; %d with a damaged lineage", d.badLineage)
	}
	if d.damaged > 0 {
		text += fmt.Sprintf("; %d damaged", d.damaged)
	}
	if enough {
		text += "; --limit is reached, there may be more"
	}
	printf(stderr, "%s\n", text)
	switch {
	case stopped:
		return &codedError{exitUnfinished, errors.New("stopped before the end")}
	case d.damaged+d.badLineage > 0:
		return &codedError{exitUnproven, fmt.Errorf("%d of %d messages cannot be read as a whole; the output says why", d.damaged+d.badLineage, d.messages)}
	}
	return nil
}
