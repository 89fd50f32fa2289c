package startfile_test

import (
	"fmt"
	"strings"
	"testing"

	"inlong-bridge/connector/resume"
	"inlong-bridge/connector/startfile"
)

const (
	id    = "vPf8kzHgQ9q2cOZ1TGWf1A"
	other = "AQIDAAAAAAAAAAAAAAAACQ"
)

func TestFileNamesWherePartitionsBegin(t *testing.T) {
	f, wrong := startfile.Parse("starts", "# made by hand\r\n\n  orders:"+id+"/0@980\r\norders:"+id+"/12@0\nlogs.web-1_x:"+other+"/0@9223372036854775807")
	if len(wrong) > 0 {
		t.Fatalf("mistakes: %v", wrong)
	}
	e, ok := f.Lookup("orders", 0)
	if want := (startfile.Entry{Topic: "orders", ID: e.ID, Partition: 0, Offset: 980, Line: 3}); !ok || e != want || e.ID.String() != id {
		t.Errorf("orders/0 = %+v, %v; want %+v with id %s", e, ok, want, id)
	}
	if got, want := f.Place(e), "starts:3"; got != want {
		t.Errorf("place = %s, want %s", got, want)
	}
	if e, ok := f.Lookup("logs.web-1_x", 0); !ok || e.Offset != 1<<63-1 || e.Line != 5 {
		t.Errorf("logs.web-1_x/0 = %+v, %v", e, ok)
	}
	if _, ok := f.Lookup("orders", 1); ok {
		t.Error("orders/1 was found, and no line names it")
	}
}

func TestMistakesNameTheirLine(t *testing.T) {
	good := "orders:" + id + "/0@980\n"
	for _, tt := range []struct {
		name, text string
		line       int
		says       string
	}{
		{"empty", "", 1, "names no partition"},
		{"comments only", "# nothing\n\n", 1, "names no partition"},
		{"another form", good + "orders/1@5", 2, "not of the form"},
		{"no offset", good + "orders:" + id + "/1", 2, "not of the form"},
		{"no topic", good + ":" + id + "/1@5", 2, "no valid topic"},
		{"topic that Kafka cannot have", good + "or ders:" + id + "/1@5", 2, "no valid topic"},
		{"short id", good + "orders:" + id[1:] + "/1@5", 2, "no valid topic id"},
		{"id with padding", good + "orders:" + id + "==/1@5", 2, "no valid topic id"},
		{"negative partition", good + "orders:" + id + "/-1@5", 2, "no valid partition"},
		{"partition beyond int32", good + "orders:" + id + "/2147483648@5", 2, "no valid partition"},
		{"negative offset", good + "orders:" + id + "/1@-5", 2, "no valid offset"},
		{"offset with a sign", good + "orders:" + id + "/1@+5", 2, "no valid offset"},
		{"offset beyond int64", good + "orders:" + id + "/1@9223372036854775808", 2, "no valid offset"},
		{"more behind the offset", good + "orders:" + id + "/1@5 # five", 2, "no valid offset"},
		{"a word", good + "orders:" + id + "/1@latest", 2, "no valid offset"},
		{"the same line twice", good + "#\n" + good, 3, "given twice, first in line 1"},
		{"another offset", good + "orders:" + id + "/0@981", 2, "given twice, first in line 1"},
		{"two ids of one topic", good + "orders:" + other + "/1@5", 2, "in line 1"},
	} {
		f, wrong := startfile.Parse("starts", tt.text)
		if f != nil || len(wrong) != 1 || wrong[0].Line != tt.line || !strings.Contains(wrong[0].Message, tt.says) {
			t.Errorf("%s: file %v, mistakes %v; want one in line %d that says %q", tt.name, f, wrong, tt.line, tt.says)
		}
	}
}

func TestAnotherFileIsNotQuotedWhole(t *testing.T) {
	_, wrong := startfile.Parse("starts", strings.Repeat(strings.Repeat("x", 10_000)+"\n", 1000))
	if len(wrong) > 30 {
		t.Errorf("%d mistakes are said of a file that is something else", len(wrong))
	}
	for _, w := range wrong {
		if len(w.Message) > 300 {
			t.Fatalf("a message has %d bytes", len(w.Message))
		}
	}
}

// What is read is written as it was, and each partition has one line.
func FuzzParse(f *testing.F) {
	f.Add("orders:" + id + "/0@980\n# x\n\nlogs:" + other + "/1@2\r\n")
	f.Add("orders:" + id + "/00@980")
	f.Add("a:b/c@d")
	f.Add(":/@")
	f.Fuzz(func(t *testing.T, text string) {
		file, wrong := startfile.Parse("f", text)
		if (file == nil) != (len(wrong) > 0) {
			t.Fatalf("a file and mistakes, or neither: %v, %v", file, wrong)
		}
		for _, w := range wrong {
			if w.Line < 1 || w.Line > 1+strings.Count(text, "\n") || w.Message == "" {
				t.Fatalf("mistake %+v of a text with %d lines", w, 1+strings.Count(text, "\n"))
			}
		}
		if file == nil {
			return
		}
		var again strings.Builder
		lines := strings.Split(text, "\n")
		for _, e := range file.Entries {
			if got := strings.TrimSpace(lines[e.Line-1]); got != e.String() {
				t.Fatalf("line %d is %q, and was read as %s", e.Line, got, e)
			}
			if found, ok := file.Lookup(e.Topic, e.Partition); !ok || found != e {
				t.Fatalf("%s is found as %+v, %v", e, found, ok)
			}
			fmt.Fprintln(&again, e)
		}
		second, wrong := startfile.Parse("f", again.String())
		if len(wrong) > 0 || len(second.Entries) != len(file.Entries) {
			t.Fatalf("written again: %v, %v", second, wrong)
		}
	})
}

func ExampleEntry_String() {
	fmt.Println(startfile.Entry{Topic: "orders", ID: resume.TopicID{1, 2, 3, 15: 9}, Partition: 4, Offset: 980})
	// Output: orders:AQIDAAAAAAAAAAAAAAAACQ/4@980
}
