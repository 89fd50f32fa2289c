package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/sdk/frame"
)

// packValue is a message of the queue that holds records. attr are more attributes.
func packValue(t testing.TB, group, stream, attr string, records ...string) []byte {
	t.Helper()
	p := frame.Pack{Ext: frame.ExtStringIDs, DataTime: 1767323045, Count: uint16(len(records)), Attr: []byte("groupId=" + group + "&streamId=" + stream + "&rtms=1" + attr)}
	for _, r := range records {
		p.Body = frame.AppendItem(p.Body, []byte(r))
	}
	value, err := frame.AppendInLongMsg(nil, &p, 1)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// aQueue is a Kafka with the topic shop.orders, of two partitions.
type aQueue struct {
	brokers string
	client  *kgo.Client
}

const queueTime = "2026-01-02T03:04:05.678Z"

func startQueue(t *testing.T) *aQueue {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "shop.orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	q := &aQueue{brokers: strings.Join(c.ListenAddrs(), ",")}
	if q.client, err = kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.client.Close)
	return q
}

func (q *aQueue) put(t *testing.T, partition int32, values ...[]byte) {
	t.Helper()
	at, err := time.Parse(time.RFC3339, queueTime)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		r := &kgo.Record{Topic: "shop.orders", Partition: partition, Value: v, Timestamp: at, Headers: []kgo.RecordHeader{{Key: "msgEnType", Value: []byte("2")}}}
		if err := q.client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// decode runs the command on the queue.
func (q *aQueue) decode(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return invoke(t, append([]string{"decode", "--brokers", q.brokers}, args...)...)
}

func TestDecodeShowsWhatAMessageHolds(t *testing.T) {
	q := startQueue(t)
	q.put(t, 1, packValue(t, "shop", "orders", "&mid=AbC.1f", "plain", "two\nlines", "\xff\x00", ""))
	code, stdout, stderr := q.decode(t, "--topic", "shop.orders")
	want := `shop.orders/1@0  ` + queueTime + `  160 bytes  version 4
  stream      shop.orders
  event time  2026-01-02T03:04:05Z
  attributes  groupId=shop&streamId=orders&rtms=1&mid=AbC.1f
  header      msgEnType=2
  record 0    plain
  record 1    "two\nlines"
  record 2    0xff00
  record 3    ""
`
	stdout = strings.Replace(stdout, fmt.Sprintf("  %d bytes", len(packValue(t, "shop", "orders", "&mid=AbC.1f", "plain", "two\nlines", "\xff\x00", ""))), "  160 bytes", 1)
	if code != exitClean || stdout != want || stderr != "1 message read with 4 records\n" {
		t.Errorf("exit %d, stderr %q, stdout\n%swant\n%s", code, stderr, stdout, want)
	}
}

func TestDecodeAsJSONLosesNothing(t *testing.T) {
	q := startQueue(t)
	value := packValue(t, "shop", "orders", "&mid=AbC.1f", "plain", "\xff\x00")
	q.put(t, 0, value, []byte("no message"))
	code, stdout, _ := q.decode(t, "--topic", "shop.orders", "--json")
	if code != exitUnproven {
		t.Errorf("exit %d, want %d for what is damaged", code, exitUnproven)
	}
	want := fmt.Sprintf(`{"topic":"shop.orders","partition":0,"offset":0,"time":"%s","bytes":%d,"version":4,"group":"shop","stream":"orders","mid":"AbC.1f","event_time":"2026-01-02T03:04:05Z","count":2,`+
		`"attributes":[{"key":"groupId","text":"shop"},{"key":"streamId","text":"orders"},{"key":"rtms","text":"1"},{"key":"mid","text":"AbC.1f"}],`+
		`"headers":[{"key":"msgEnType","text":"2"}],"records":[{"n":0,"text":"plain"},{"n":1,"base64":"/wA="}]}
{"topic":"shop.orders","partition":0,"offset":1,"time":"%s","bytes":10,"error":"reading InLongMsg: not an InLongMsg of this version","count":0,"headers":[{"key":"msgEnType","text":"2"}],"records":[],"value":{"text":"no message"}}
`, queueTime, len(value), queueTime)
	if stdout != want {
		t.Errorf("stdout\n%swant\n%s", stdout, want)
	}
}

func TestDecodeSelects(t *testing.T) {
	q := startQueue(t)
	for i := range 5 {
		q.put(t, 0, packValue(t, "shop", "orders", "&mid=one."+fmt.Sprint(i), fmt.Sprintf("a-%d", i), fmt.Sprintf("b-%d", i)))
	}
	q.put(t, 1, packValue(t, "shop", "bills", "", "a-9"))
	for _, tc := range []struct {
		args string
		want string // the records
		said string
	}{
		{"--topic shop.orders", "a-0 b-0 a-1 b-1 a-2 b-2 a-3 b-3 a-4 b-4 a-9", "6 messages read with 11 records\n"},
		{"--group shop --stream orders", "a-0 b-0 a-1 b-1 a-2 b-2 a-3 b-3 a-4 b-4", "6 messages read with 10 records; 1 of other streams not shown\n"},
		{"--topic shop.orders --stream bills", "a-9", "6 messages read with 1 record; 5 of other streams not shown\n"},
		{"--topic shop.orders --partition 1", "a-9", "1 message read with 1 record\n"},
		{"--topic shop.orders --partition 0 --from 1 --to 3", "a-1 b-1 a-2 b-2", "2 messages read with 4 records\n"},
		{"--topic shop.orders --from -1", "a-4 b-4 a-9", "2 messages read with 3 records\n"},
		{"--topic shop.orders --from 100", "", "0 messages read with 0 records\n"},
		{"--topic shop.orders --from 2026-01-02T03:04:06Z", "", "0 messages read with 0 records\n"},
		{"--topic shop.orders --from 2026-01-02T03:04:05Z --to 15m --partition 1", "a-9", "1 message read with 1 record\n"},
		{"--topic shop.orders --limit 2", "a-0 b-0 a-1 b-1", "2 messages read with 4 records; --limit is reached, there may be more\n"},
		{"--topic shop.orders --grep ^a-[39]$", "a-3 a-9", "6 messages read with 11 records, 2 of which match in 2\n"},
		{"--topic shop.orders --grep a- --limit 1", "a-0", "1 message read with 2 records, 1 of which match in 1; --limit is reached, there may be more\n"},
	} {
		code, stdout, stderr := q.decode(t, append(strings.Fields(tc.args), "--json")...)
		var got []string
		for line := range strings.Lines(stdout) {
			var m packJSON
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatal(err)
			}
			for _, r := range m.Records {
				got = append(got, *r.Text)
			}
		}
		if code != exitClean || strings.Join(got, " ") != tc.want || stderr != tc.said {
			t.Errorf("%s: exit %d, %q, said %q; want %q, %q", tc.args, code, strings.Join(got, " "), stderr, tc.want, tc.said)
		}
	}
}

func TestDecodeCountsByStreamAndSender(t *testing.T) {
	q := startQueue(t)
	q.put(t, 0, packValue(t, "shop", "orders", "&mid=one.1", "a", "b"), packValue(t, "shop", "orders", "&mid=two.1", "a"), packValue(t, "shop", "orders", "&mid=one.2", "a"))
	q.put(t, 1, packValue(t, "shop", "bills", "", "a"))
	code, stdout, _ := q.decode(t, "--topic", "shop.orders", "--count")
	size := func(attr, stream string, records ...string) int {
		return len(packValue(t, "shop", stream, attr, records...))
	}
	var lines []string
	for l := range strings.SplitSeq(strings.TrimSpace(stdout), "\n") {
		lines = append(lines, strings.Join(strings.Fields(l), " "))
	}
	want := []string{
		"GROUP STREAM SENDER MESSAGES RECORDS BYTES DAMAGED",
		fmt.Sprintf("shop bills - 1 1 %d 0", size("", "bills", "a")),
		fmt.Sprintf("shop orders one 2 3 %d 0", size("&mid=one.1", "orders", "a", "b")+size("&mid=one.2", "orders", "a")),
		fmt.Sprintf("shop orders two 1 1 %d 0", size("&mid=two.1", "orders", "a")),
	}
	if code != exitClean || strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("exit %d,\n%s\nwant\n%s", code, strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	if _, stdout, _ = q.decode(t, "--topic", "shop.orders", "--count", "--json"); !strings.HasPrefix(stdout, `{"group":"shop","stream":"bills","instance":"","messages":1,"records":1,`) {
		t.Errorf("as JSON: %s", stdout)
	}
}

// What is damaged is shown with its place and the reason, and what comes behind it is read.
func TestDecodeShowsDamagedMessagesAndGoesOn(t *testing.T) {
	q := startQueue(t)
	torn := packValue(t, "shop", "orders", "", "a record that compresses badly: 5f8")
	torn[2+frame.PackHeader] ^= 0x7f // the length of the records, as their compression tells it
	q.put(t, 0, packValue(t, "shop", "orders", "", "first"), []byte("garbage"), torn, nil, packValue(t, "shop", "orders", "", "last"))
	code, stdout, stderr := q.decode(t, "--topic", "shop.orders")
	for _, want := range []string{
		"shop.orders/0@1  " + queueTime + "  7 bytes  DAMAGED: reading InLongMsg: not an InLongMsg of this version\n  value       0x67617262616765\n",
		"shop.orders/0@2  ", "shop.orders/0@3  " + queueTime + "  0 bytes  DAMAGED: ", "  record 0    first\n", "  record 0    last\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if code != exitUnproven || !strings.Contains(stderr, "; 3 damaged\n") {
		t.Errorf("exit %d, said %q", code, stderr)
	}
	// --grep never hides what cannot be read.
	if code, stdout, _ = q.decode(t, "--topic", "shop.orders", "--grep", "nothing has this"); code != exitUnproven || strings.Count(stdout, "DAMAGED") != 3 {
		t.Errorf("--grep: exit %d,\n%s", code, stdout)
	}
}

func TestDecodeSaysWhatIsNotThere(t *testing.T) {
	q := startQueue(t)
	q.put(t, 0, packValue(t, "shop", "orders", "", "gone"), packValue(t, "shop", "orders", "", "kept"))
	gone := kadm.Offsets{}
	gone.Add(kadm.Offset{Topic: "shop.orders", At: 1})
	if _, err := kadm.NewClient(q.client).DeleteRecords(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := q.decode(t, "--topic", "shop.orders", "--partition", "0", "--from", "0"); code != exitClean || !strings.Contains(stdout, "kept") ||
		!strings.Contains(stderr, "shop.orders/0: the log begins at offset 1; what lay before it was deleted\n") {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
	if code, _, stderr := q.decode(t, "--topic", "shop.nothing"); code != exitFailure || !strings.Contains(stderr, "topic shop.nothing does not exist") || !strings.Contains(stderr, "hint") {
		t.Errorf("exit %d, %q", code, stderr)
	}
	if code, _, stderr := q.decode(t, "--topic", "shop.orders", "--partition", "7"); code != exitUsage || !strings.Contains(stderr, "has the partitions [0 1]") {
		t.Errorf("exit %d, %q", code, stderr)
	}
}

func TestDecodeTakesTheQueueOfAConfiguration(t *testing.T) {
	q := startQueue(t)
	q.put(t, 0, packValue(t, "shop", "orders", "", "here"))
	path := writeFile(t, goodConfig+"queue: {kafka: [{name: mq, brokers: ['"+q.brokers+"'], topic: '{group}.{stream}'}]}\n")
	if code, stdout, stderr := invoke(t, "decode", "-c", path, "--group", "shop", "--stream", "orders"); code != exitClean || !strings.Contains(stdout, "cluster mq") || !strings.Contains(stdout, "here") {
		t.Errorf("exit %d, %q, %q", code, stdout, stderr)
	}
	if code, _, stderr := invoke(t, "decode", "-c", path, "--cluster", "nope", "--topic", "x"); code != exitUsage || !strings.Contains(stderr, "the queue has the clusters mq") {
		t.Errorf("exit %d, %q", code, stderr)
	}
	if code, _, stderr := invoke(t, "decode", "-c", writeFile(t, goodConfig), "--topic", "x"); code != exitUsage || !strings.Contains(stderr, "has no queue section") {
		t.Errorf("exit %d, %q", code, stderr)
	}
}

// A signal ends the reading, and the exit code tells that it is not all.
func TestDecodeThatIsStoppedSaysSo(t *testing.T) {
	f := decodeFlags{}
	d := f.decoder(&lines{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var said lines
	if err := d.end(ctx, &said, context.Cause(ctx)); exitCode(err) != exitUnfinished {
		t.Errorf("end = %v, want exit 3", err)
	}
	if err := d.end(t.Context(), &said, errors.New("down")); exitCode(err) != exitFailure {
		t.Errorf("end = %v, want exit 1", err)
	}
}

func TestDecodeOfAValue(t *testing.T) {
	value := packValue(t, "shop", "orders", "", "hello")
	file := filepath.Join(t.TempDir(), "value")
	for name, content := range map[string][]byte{
		"raw": value, "hex": []byte(hex.EncodeToString(value)), "0x": []byte("0x" + hex.EncodeToString(value) + "\n"),
		"spaced": fmt.Appendf(nil, "% x", value), "xxd": xxd(value), "hexdump": hexdumpC(value),
	} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if code, stdout, stderr := invoke(t, "decode", file); code != exitClean || !strings.Contains(stdout, "record 0    hello") || stderr != "1 message read with 1 record\n" {
			t.Errorf("%s: exit %d, %q, %q", name, code, stdout, stderr)
		}
	}
	if code, stdout, _ := invoke(t, "decode", "--hex", hex.EncodeToString(value), "--json"); code != exitClean || !strings.HasPrefix(stdout, `{"bytes":`) || !strings.Contains(stdout, `"hello"`) {
		t.Errorf("--hex: exit %d, %q", code, stdout)
	}
	if code, _, stderr := invoke(t, "decode", "--hex", "0f0g"); code != exitUsage || !strings.Contains(stderr, "not a hex dump") {
		t.Errorf("--hex with another letter: exit %d, %q", code, stderr)
	}
	if code, _, stderr := invoke(t, "decode", filepath.Join(t.TempDir(), "none")); code != exitUsage || !strings.Contains(stderr, "no such file") {
		t.Errorf("no file: exit %d, %q", code, stderr)
	}
	if err := os.WriteFile(file, []byte("this is text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, stdout, _ := invoke(t, "decode", file); code != exitUnproven || !strings.Contains(stdout, "DAMAGED: reading InLongMsg: not an InLongMsg") {
		t.Errorf("text: exit %d, %q", code, stdout)
	}
}

// xxd and hexdumpC write value as these tools do.
func xxd(value []byte) []byte {
	var b bytes.Buffer
	for at := 0; at < len(value); at += 16 {
		line := value[at:min(at+16, len(value))]
		groups := ""
		for i := 0; i < len(line); i += 2 {
			groups += hex.EncodeToString(line[i:min(i+2, len(line))]) + " "
		}
		fmt.Fprintf(&b, "%08x: %-40s %s\n", at, groups, dots(line))
	}
	return b.Bytes()
}

func hexdumpC(value []byte) []byte {
	var b bytes.Buffer
	for at := 0; at < len(value); at += 16 {
		line := value[at:min(at+16, len(value))]
		fmt.Fprintf(&b, "%08x  %-24s %-24s |%s|\n", at, fmt.Sprintf("% x", line[:min(8, len(line))]), fmt.Sprintf("% x", line[min(8, len(line)):]), dots(line))
	}
	fmt.Fprintf(&b, "%08x\n", len(value))
	return b.Bytes()
}

func dots(line []byte) string {
	return string(bytes.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '.'
		}
		return r
	}, []byte(strings.ToValidUTF8(string(line), "."))))
}

func TestHexDumpWithMissingLinesIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"xxd without its second line": "00000000: 0f04 0f04 0f04 0f04 0f04 0f04 0f04 0f04  ................\n00000020: 0f04  ..",
		"hexdump with a star":         "00000000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n*\n00000020",
		"odd":                         "0f0",
		"nothing":                     " \n",
	} {
		if got, err := parseHex([]byte(text)); err == nil {
			t.Errorf("%s: %x, want an error", name, got)
		}
	}
}

func FuzzParseHex(f *testing.F) {
	f.Add([]byte("0f04"))
	f.Add([]byte("00000000: 0f04 0000 004d 2700  ....M'."))
	f.Add([]byte("00000000  0f 04 00 00 00 4d 27 00  |.....M'.|\n00000008"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if got, err := parseHex(text); err == nil && 2*len(got) > len(text) {
			t.Errorf("%d bytes out of %d characters", len(got), len(text))
		}
		if len(text) == 0 {
			return
		}
		for name, dump := range map[string][]byte{"hex": []byte(hex.EncodeToString(text)), "xxd": xxd(text), "hexdump": hexdumpC(text)} {
			if got, err := parseHex(dump); err != nil || !bytes.Equal(got, text) {
				t.Errorf("%s of %x is read as %x, %v", name, text, got, err)
			}
		}
	})
}

func TestTextOfARecordIsOneLineAndBounded(t *testing.T) {
	for _, tc := range []struct {
		data, want string
		limit      int
	}{
		{"grüße", "grüße", 100},
		{"", `""`, 100},
		{"a\tb", `"a\tb"`, 100},
		{`"quoted"`, `"\"quoted\""`, 100}, // else it could be taken for another record's quoted form
		{"0xff", `"0xff"`, 100},
		{"\x1b[2J", "0x1b5b324a", 100}, // no control sequence reaches the terminal
		{"\u202etxt", "0xe280ae747874", 100},
		{"\xff", "0xff", 100},
		{"abcdef", "abc... (6 bytes in all; --full shows them)", 3},
		{"ab\u00fc", "ab... (4 bytes in all; --full shows them)", 3},
		{"\x00\x01\x02", "0x0001... (3 bytes in all; --full shows them)", 2},
	} {
		if got := textOf([]byte(tc.data), tc.limit, false); got != tc.want {
			t.Errorf("%q is shown as %s, want %s", tc.data, got, tc.want)
		}
	}
}

func TestParseBound(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tc := range []struct {
		text string
		want bound
	}{
		{"12", bound{offset: new(confirm.At(12))}},
		{"-12", bound{back: 12}},
		{"3:4", bound{offset: &confirm.Offset{Ledger: 3, Entry: 4}, ledger: true}},
		{"3:4:5", bound{offset: &confirm.Offset{Ledger: 3, Entry: 4, Batch: 5}, ledger: true}},
		{"90s", bound{at: now.Add(-90 * time.Second)}},
		{"2026-01-02T03:00:00+01:00", bound{at: time.Date(2026, 1, 2, 2, 0, 0, 0, time.UTC)}},
	} {
		got, err := parseBound("--from", tc.text, now)
		if err != nil || got.back != tc.want.back || got.ledger != tc.want.ledger || !got.at.Equal(tc.want.at) ||
			(got.offset == nil) != (tc.want.offset == nil) || got.offset != nil && *got.offset != *tc.want.offset {
			t.Errorf("%s: %+v, %v, want %+v", tc.text, got, err, tc.want)
		}
	}
	for _, text := range []string{"x", "1:", "1:2:3:4", "-1s", "1:-2", "1:2:9999999999", "-9223372036854775808"} {
		if got, err := parseBound("--from", text, now); exitCode(err) != exitUsage {
			t.Errorf("%s: %+v, %v, want bad usage", text, got, err)
		}
	}
	if err := (bound{back: 1}).fits(false); exitCode(err) != exitUsage {
		t.Errorf("--from -1 of Pulsar: %v", err)
	}
	if err := (bound{ledger: true, offset: &confirm.Offset{}}).fits(true); exitCode(err) != exitUsage {
		t.Errorf("--from 1:2 of Kafka: %v", err)
	}
}

func FuzzParseBound(f *testing.F) {
	for _, s := range []string{"12", "-3", "3:4", "3:4:5", "15m", "2026-01-02T03:04:05Z", "9223372036854775807"} {
		f.Add(s)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		b, err := parseBound("--from", text, now)
		switch {
		case err != nil || text == "":
		case b.offset != nil:
			if b.offset.Ledger < 0 || b.offset.Entry < 0 || b.offset.Batch < 0 || b.back != 0 || !b.at.IsZero() {
				t.Errorf("%q is %+v, %+v", text, b, *b.offset)
			}
			again, err := parseBound("--from", b.offset.String(), now)
			if err != nil || again.offset == nil || *again.offset != *b.offset {
				t.Errorf("%q is %v, which is read as %+v, %v", text, b.offset, again, err)
			}
		case b.back <= 0 && b.at.After(now) && !strings.Contains(text, "T"), b.back < 0:
			t.Errorf("%q is %+v", text, b)
		}
	})
}
