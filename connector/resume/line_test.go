package resume_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"inlong-bridge/connector/resume"
)

func fullLine() resume.Line {
	return resume.Line{
		Cluster: "4L6g3nShT-eMCtK--X86sw", Topic: resume.TopicID{1, 2, 3, 15: 9},
		Seen:  resume.Sight{Partitions: 12, At: time.UnixMilli(1764384000000), Began: resume.Latest()},
		At:    time.UnixMilli(1764384612345),
		Books: resume.Books{From: 500, Final: 980, Skipped: 20, Gap: 3, Lost: 2, Dead: 1, Hand: 4, Passed: 400, Unproven: 100},
	}
}

func TestLineComesBackAsItWas(t *testing.T) {
	since := fullLine()
	since.Seen.Began = resume.Since(time.UnixMilli(1764000000001))
	odd := fullLine()
	odd.Cluster, odd.Topic, odd.Seen.Began = "", resume.TopicID{}, resume.Start()
	for _, want := range []resume.Line{fullLine(), since, odd} {
		got, ok := resume.Parse(want.String())
		if !ok || got != want {
			t.Errorf("Parse(%q) = %+v, %v; want %+v", want.String(), got, ok, want)
		}
	}
}

// Anybody may read the line with Kafka's tools: its words are an interface.
func TestLineIsWrittenAsDocumented(t *testing.T) {
	want := "inlong-bridge/1 cluster=4L6g3nShT-eMCtK--X86sw topic=AQIDAAAAAAAAAAAAAAAACQ partitions=12 seen=1764384000000 began=latest " +
		"at=1764384612345 from=500 final=980 skipped=20 gap=3 lost=2 dead=1 hand=4 passed=400 unproven=100"
	if got := fullLine().String(); got != want {
		t.Errorf("line = %q, want %q", got, want)
	}
}

func TestLongestLineIsASCIIAndStaysBelowTheLimit(t *testing.T) {
	l := fullLine()
	l.Cluster = strings.Repeat("über lang ", 30)
	l.Seen = resume.Sight{Partitions: math.MaxInt32, At: time.UnixMilli(math.MaxInt64), Began: resume.Since(time.UnixMilli(math.MaxInt64))}
	l.At = time.UnixMilli(math.MaxInt64)
	const most = 1 << 60
	l.Books = resume.Books{From: most, Final: most, Skipped: most, Gap: most, Lost: most, Dead: most, Hand: most, Passed: most, Unproven: most}
	s := l.String()
	if len(s) >= resume.MaxLine {
		t.Errorf("the line has %d bytes, want less than %d: %s", len(s), resume.MaxLine, s)
	}
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' {
			t.Fatalf("the line holds byte %#x: %q", c, s)
		}
	}
	if _, ok := resume.Parse(s); !ok {
		t.Errorf("the longest line is not read: %q", s)
	}
}

func TestLineOfALaterVersionWithMoreKeysIsRead(t *testing.T) {
	s := strings.Replace(fullLine().String(), " at=", " epoch=7 note=x=y at=", 1) + " tail"
	if got, ok := resume.Parse(s); !ok || got != fullLine() {
		t.Errorf("Parse(%q) = %+v, %v; want the keys it knows", s, got, ok)
	}
}

func TestMetadataThatIsNoLineIsNotRead(t *testing.T) {
	good := fullLine().String()
	for _, s := range []string{
		"", "kgo-bridge-1764-8a3e", "inlong-bridge/1", "inlong-bridge/1 ", "inlong-bridge/2" + good[len("inlong-bridge/1"):],
		"x" + good, strings.Replace(good, " from=500", "", 1), strings.Replace(good, "final=980", "final=nine", 1),
		strings.Replace(good, "final=980", "final=-980", 1), strings.Replace(good, "began=latest", "began=noon", 1),
		strings.Replace(good, "topic=A", "topic=", 1), good + " final=980", good[:len(good)-40], good + strings.Repeat(" x=1", 100),
	} {
		if l, ok := resume.Parse(s); ok {
			t.Errorf("Parse(%q) = %+v, want no line", s, l)
		}
	}
}

func TestBooksCloseOnlyAtTheirOffset(t *testing.T) {
	b := fullLine().Books
	at := b.From + b.Sum()
	if !b.Close(at) || b.Close(at+1) || b.Close(at-1) {
		t.Errorf("books %+v close at %d and nowhere else: %v %v %v", b, at, b.Close(at), b.Close(at+1), b.Close(at-1))
	}
	if sum := b.Add(resume.Books{From: at, Final: 7, Skipped: 1, Gap: 2, Lost: 3, Dead: 4, Hand: 5}); !sum.Close(at + 22) {
		t.Errorf("the sum of books %+v does not close at %d", sum, at+22)
	}
}

// Whatever is read is written again as it was understood, and is no longer than what was read could make it.
func FuzzParse(f *testing.F) {
	f.Add(fullLine().String())
	f.Add("inlong-bridge/1 partitions=1 seen=0 began=@-5 at=0 from=0 final=0 skipped=0 gap=0 lost=0 dead=0 hand=0 passed=0 unproven=0")
	f.Add("inlong-bridge/1 cluster=%20 topic=AQIDAAAAAAAAAAAAAAAACQ")
	f.Fuzz(func(t *testing.T, s string) {
		l, ok := resume.Parse(s)
		if !ok {
			return
		}
		if len(s) >= resume.MaxLine {
			t.Fatalf("a line of %d bytes was read", len(s))
		}
		again, ok := resume.Parse(l.String())
		if again.Cluster != l.Cluster { // no bridge wrote that word: String replaces it by its hash
			again.Cluster = l.Cluster
		}
		if ok && again != l {
			t.Fatalf("%q is read as %+v, and written and read again as %+v", s, l, again)
		}
		if !l.Books.Close(l.Books.From + l.Books.Sum()) {
			t.Fatalf("books %+v do not close at their own sum", l.Books)
		}
	})
}
