package main

import (
	"fmt"
	"strings"
	"testing"

	"inlong-bridge/connector/lineage"
	"inlong-bridge/connector/resume"
)

// srcAttr is the attribute of a pack of neighbours of orders/0.
func srcAttr(t *testing.T, committed, first int64, n int) string {
	t.Helper()
	var b lineage.Builder
	b.Reset(lineage.MaxChars, false)
	s := lineage.SourceOf(lineage.ClusterOf("c"), resume.TopicID{1}, "orders", 0)
	var offsets []int64
	for i := range n {
		offsets = append(offsets, first+int64(i))
	}
	if b.Add(&s, committed, offsets) != n {
		t.Fatal("the lineage is full")
	}
	return "&" + lineage.Attr + "=" + string(b.AppendTo(nil))
}

func TestDecodeShowsWhereRecordsCameFrom(t *testing.T) {
	q := startQueue(t)
	q.put(t, 0, packValue(t, "shop", "orders", srcAttr(t, 90, 100, 2), "a", "b"), packValue(t, "shop", "orders", "&src=AAAA", "c"))
	topic := resume.TopicID{1}.String()
	code, stdout, stderr := q.decode(t, "--topic", "shop.orders")
	for _, want := range []string{
		fmt.Sprintf("  source      cluster %s topic %s partition 0, offsets 100-101, committed 90\n", lineage.ClusterOf("c"), topic),
		"  record 0    0@100  a\n  record 1    0@101  b\n", "  lineage     DAMAGED: reading lineage: ", "  record 0    c\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if code != exitUnproven || !strings.Contains(stderr, "; 1 with a damaged lineage\n") {
		t.Errorf("exit %d, %q", code, stderr)
	}
	_, stdout, _ = q.decode(t, "--topic", "shop.orders", "--json", "--limit", "1")
	for _, want := range []string{
		fmt.Sprintf(`"sources":[{"cluster":"%s","topic_id":"%s","partition":0,"committed":90}]`, lineage.ClusterOf("c"), topic),
		`"records":[{"n":0,"text":"a","source":0,"offset":100},{"n":1,"text":"b","source":0,"offset":101}]`,
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %s in %s", want, stdout)
		}
	}
}

func TestDecodeLeavesOutRepeats(t *testing.T) {
	q := startQueue(t)
	pack := func(first int64, records ...string) []byte {
		return packValue(t, "shop", "orders", srcAttr(t, lineage.None, first, len(records)), records...)
	}
	q.put(t, 0, pack(0, "r0", "r1"), pack(1, "r1", "r2"), pack(0, "r0", "r1"), packValue(t, "shop", "orders", "", "no lineage"))
	q.put(t, 1, pack(2, "r2", "r3"))
	code, stdout, stderr := q.decode(t, "--topic", "shop.orders", "--dedupe")
	for _, r := range []string{"0@0  r0", "0@1  r1", "0@2  r2", "0@3  r3", "no lineage"} {
		if strings.Count(stdout, r+"\n") != 1 {
			t.Errorf("%q is shown %d times, want once:\n%s", r, strings.Count(stdout, r+"\n"), stdout)
		}
	}
	if code != exitClean || !strings.Contains(stderr, "; 4 repeats left out, and 1 records shown of which nobody can tell whether they are repeats\n") {
		t.Errorf("exit %d, %q", code, stderr)
	}
	if _, stdout, _ = q.decode(t, "--topic", "shop.orders", "--dedupe", "--count"); !strings.Contains(stdout, "shop   orders  -       4         5") {
		t.Errorf("counted without repeats:\n%s", stdout)
	}
}
