package retention

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"inlong-bridge/connector/internal/part"
)

func TestRetentionIsReadFromTheTopicsConfiguration(t *testing.T) {
	value := func(key, v string) kadm.Config { return kadm.Config{Key: key, Value: &v} }
	for _, row := range []struct {
		name    string
		configs []kadm.Config
		want    topicRetention
		ok      bool
	}{
		{"a day", []kadm.Config{value("cleanup.policy", "delete"), value("retention.ms", "86400000")}, topicRetention{24 * time.Hour, true}, true},
		{"for ever", []kadm.Config{value("retention.ms", "-1")}, topicRetention{}, true},
		{"longer than a duration holds", []kadm.Config{value("retention.ms", "9223372036854775807")}, topicRetention{}, true},
		{"compacted", []kadm.Config{value("retention.ms", "1000"), value("cleanup.policy", "compact")}, topicRetention{}, true},
		{"compacted and deleted", []kadm.Config{value("cleanup.policy", "compact, delete"), value("retention.ms", "1000")}, topicRetention{time.Second, true}, true},
		{"not told", []kadm.Config{value("cleanup.policy", "delete")}, topicRetention{limited: true}, false},
		{"no number", []kadm.Config{value("retention.ms", "soon")}, topicRetention{}, false},
	} {
		if got, ok := retentionOf(row.configs); got != row.want || ok != row.ok {
			t.Errorf("%s: retentionOf = %+v, %v, want %+v, %v", row.name, got, ok, row.want, row.ok)
		}
	}
}

// moved is the history of a log whose start moved by step every interval, times times, the last time at midday.
func moved(times int, step int64, interval time.Duration) startMoves {
	var m startMoves
	for i := range times + 1 {
		m.saw(1000+int64(i)*step, midday.Add(-interval*time.Duration(times-i)))
	}
	return m
}

func TestStartOfTheLogReachesARecord(t *testing.T) {
	for _, row := range []struct {
		name   string
		moves  startMoves
		offset int64
		now    time.Time
		want   time.Duration
		ok     bool
	}{
		{"nothing seen", nil, 5, midday, 0, false},
		{"it never moved", moved(0, 0, 0), 1500, midday, 0, false},
		{"one move tells no speed", moved(1, 100, time.Hour), 1500, midday, 0, false},
		{"ten moves of an hour away", moved(4, 100, time.Hour), 2400, midday, 10 * time.Hour, true},
		{"half an hour later", moved(4, 100, time.Hour), 2400, midday.Add(30 * time.Minute), 9*time.Hour + 30*time.Minute, true},
		{"it has become slower", moved(4, 100, time.Hour), 2400, midday.Add(4 * time.Hour), 16 * time.Hour, true}, // 300 offsets in 6 h
		{"within the next segment", moved(4, 100, time.Hour), 1400, midday, 0, true},
		{"gone", moved(1, 100, time.Hour), 1099, midday, 0, true},
		{"no overflow", moved(2, 1, 24*time.Hour), 1 << 62, midday, 100 * 365 * 24 * time.Hour, true},
	} {
		if got, ok := row.moves.reaches(row.offset, row.now); got != row.want || ok != row.ok {
			t.Errorf("%s: reaches = %v, %v, want %v, %v", row.name, got, ok, row.want, row.ok)
		}
	}
	if m := moved(100, 1, time.Second); len(m) != keptMoves {
		t.Errorf("%d moves are kept, want %d", len(m), keptMoves)
	}
}

func TestRetentionLeftIsTheShorterEstimate(t *testing.T) {
	day := topicRetention{24 * time.Hour, true}
	for _, row := range []struct {
		name  string
		r     topicRetention
		moves startMoves
		at    time.Time
		want  time.Duration
		ok    bool
	}{
		{"by time", day, nil, midday.Add(-20 * time.Hour), 4 * time.Hour, true},
		{"late for the broker to notice", day, nil, midday.Add(-30 * time.Hour), 0, true},
		{"by size", day, moved(4, 100, time.Hour), midday.Add(-20 * time.Hour), time.Hour, true},
		{"by size alone", topicRetention{}, moved(4, 100, time.Hour), midday.Add(-20 * time.Hour), time.Hour, true},
		{"by time, size leaves more", day, moved(4, 1, 24*time.Hour), midday.Add(-20 * time.Hour), 4 * time.Hour, true},
		{"for ever", topicRetention{}, nil, midday.Add(-20 * time.Hour), 0, false},
		{"the record's time is not known", day, nil, time.Time{}, 0, false},
	} {
		offset := int64(1500) // a move of 100 away from the start of moved(4, 100, ...)
		if row.name == "by time, size leaves more" {
			offset = 1100
		}
		got, why, ok := retentionLeft(row.r, row.moves, offset, row.at, midday)
		if got != row.want || ok != row.ok || ok && why == "" {
			t.Errorf("%s: retentionLeft = %v, %q, %v, want %v, %v", row.name, got, why, ok, row.want, row.ok)
		}
	}
}

func TestAgesOfRecordsThatWereNotFetchedAreBracketed(t *testing.T) {
	a, b, c, gone := part.ID{Topic: "t", Num: 0}, part.ID{Topic: "t", Num: 1}, part.ID{Topic: "u", Num: 0}, part.ID{Topic: "v", Num: 0}
	ages := []time.Duration{time.Minute, time.Hour, 24 * time.Hour}
	younger := map[time.Duration]map[part.ID]int64{
		time.Minute:    {a: 50, b: 90, c: 70},
		time.Hour:      {a: 40, b: 80, c: 60},
		24 * time.Hour: {a: 10, b: 20, c: 60},
	}
	var asked []int
	got := guessAges(map[part.ID]int64{a: 50, b: 79, c: 5, gone: 1}, ages, func(age time.Duration, topics []string) (map[part.ID]int64, error) {
		asked = append(asked, len(topics))
		return younger[age], nil
	})
	want := map[part.ID]time.Duration{a: time.Minute, b: 24 * time.Hour, c: 24 * time.Hour}
	if !maps.Equal(got, want) {
		t.Errorf("ages = %v, want %v", got, want)
	}
	if len(asked) != 3 || asked[0] != 3 || asked[2] != 2 {
		t.Errorf("asked about %v topics, want 3 and then fewer", asked)
	}
	got = guessAges(map[part.ID]int64{a: 50}, ages, func(time.Duration, []string) (map[part.ID]int64, error) { return nil, errors.New("down") })
	if len(got) != 0 {
		t.Errorf("ages = %v without an answer, want none", got)
	}
}

var midday = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
