// Package startfile reads and writes the file of kafka.start_file, which says where partitions begin that have no
// committed offset. It is pure.
//
// The file is text in UTF-8 with one partition per line; empty lines and lines that begin with # are left out:
//
//	# topic:topic-id/partition@offset
//	orders:vPf8kzHgQ9q2cOZ1TGWf1A/0@980
//	orders:vPf8kzHgQ9q2cOZ1TGWf1A/1@1204
//
// The offset is that of the first record to read. The id is the one that Kafka's own tools show (kafka-topics.sh
// --describe), so that a line never applies to another topic of the same name.
package startfile

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"inlong-bridge/connector/resume"
)

// Entry says where one partition begins.
type Entry struct {
	Topic     string
	ID        resume.TopicID // all zeros for brokers without topic ids
	Partition int32
	Offset    int64 // of the first record to read
	Line      int   // in the file, from 1
}

// String is the entry as the file has it.
func (e Entry) String() string {
	return fmt.Sprintf("%s:%s/%d@%d", e.Topic, e.ID, e.Partition, e.Offset)
}

// File is a file that was read.
type File struct {
	Path    string
	Entries []Entry // in the order of the file
	at      map[place]int
}

type place struct {
	topic string
	num   int32
}

// Lookup returns the entry of a partition.
func (f *File) Lookup(topic string, num int32) (e Entry, ok bool) {
	i, ok := f.at[place{topic, num}]
	if !ok {
		return Entry{}, false
	}
	return f.Entries[i], true
}

// Place names a line of the file.
func (f *File) Place(e Entry) string { return fmt.Sprintf("%s:%d", f.Path, e.Line) }

// Mistake is one line that cannot be used, and what to do about it.
type Mistake struct {
	Line    int // from 1
	Message string
}

// maxMistakes bounds what is said of a file that is something else altogether.
const maxMistakes = 20

// Parse reads a file. With mistakes there is no file. path is used in messages.
func Parse(path, text string) (*File, []Mistake) {
	f := &File{Path: path, at: make(map[place]int)}
	ids := make(map[string]Entry) // the first entry of each topic
	var wrong []Mistake
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		e, err := ParseEntry(line)
		if err == nil {
			e.Line = n
			err = f.add(e, ids)
		}
		if err == nil {
			continue
		}
		if len(wrong) == maxMistakes {
			return nil, append(wrong, Mistake{n, "there are more mistakes from here on; is this the right file?"})
		}
		wrong = append(wrong, Mistake{n, err.Error()})
	}
	if len(f.Entries) == 0 && len(wrong) == 0 {
		return nil, []Mistake{{1, "names no partition; write lines such as " + example}}
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	return f, nil
}

// add adds an entry unless it contradicts an earlier one.
func (f *File) add(e Entry, ids map[string]Entry) error {
	if first, ok := ids[e.Topic]; ok && first.ID != e.ID {
		return fmt.Errorf("topic %s has the id %s here and %s in line %d; keep the lines of the topic that is there now (kafka-topics.sh --describe shows its id)", e.Topic, e.ID, first.ID, first.Line)
	}
	p := place{e.Topic, e.Partition}
	if i, twice := f.at[p]; twice {
		return fmt.Errorf("%s/%d is given twice, first in line %d; keep one", e.Topic, e.Partition, f.Entries[i].Line)
	}
	if _, ok := ids[e.Topic]; !ok {
		ids[e.Topic] = e
	}
	f.at[p] = len(f.Entries)
	f.Entries = append(f.Entries, e)
	return nil
}

const (
	form    = "topic:topic-id/partition@offset"
	example = "orders:vPf8kzHgQ9q2cOZ1TGWf1A/0@980"
	shown   = 80 // characters of a line in a message
)

// ParseEntry reads topic:topic-id/partition@offset. The error says what to write instead.
func ParseEntry(s string) (e Entry, err error) {
	bad := func(what string) (Entry, error) {
		if len(s) > shown {
			s = strings.ToValidUTF8(s[:shown], "") + "..."
		}
		return Entry{}, fmt.Errorf("%q %s; write %s, such as %s", s, what, form, example)
	}
	topic, rest, hasID := strings.Cut(s, ":")
	id, rest, hasNum := strings.Cut(rest, "/")
	num, offset, hasOffset := strings.Cut(rest, "@")
	if !hasID || !hasNum || !hasOffset {
		return bad("is not of the form that names where a partition begins")
	}
	if !validTopic(topic) {
		return bad("has no valid topic")
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil || len(raw) != len(e.ID) || strings.ContainsAny(id, "\r\n") {
		return bad("has no valid topic id, which has 22 letters, digits, - and _")
	}
	n, err := number(num, 31)
	if err != nil {
		return bad("has no valid partition, which is a number from 0")
	}
	at, err := number(offset, 63)
	if err != nil {
		return bad("has no valid offset, which is a number from 0")
	}
	return Entry{Topic: topic, ID: resume.TopicID(raw), Partition: int32(n), Offset: at}, nil
}

var errNumber = errors.New("not a number as String writes it")

// number reads digits without a sign or a leading zero.
func number(s string, bits int) (int64, error) {
	n, err := strconv.ParseUint(s, 10, bits)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, errNumber
	}
	return int64(n), nil
}

// validTopic reports whether Kafka could have a topic of that name.
func validTopic(s string) bool {
	const most = 249
	return s != "" && s != "." && s != ".." && len(s) <= most && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-'
	})
}
