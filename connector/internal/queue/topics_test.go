package queue

import (
	"strings"
	"testing"
	"time"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/sdk"
)

func TestReasonNamesTheTopicThatIsLookedAt(t *testing.T) {
	at := func(s ...string) (out []confirm.StreamTopic) {
		for _, x := range s {
			f := strings.Split(x, " ")
			out = append(out, confirm.StreamTopic{Cluster: f[0], Topic: f[1], Missing: len(f) > 2})
		}
		return out
	}
	long := sdk.UnseenAfter
	for _, row := range []struct {
		name    string
		unfinal int
		unseen  time.Duration
		missing bool
		at      []confirm.StreamTopic
		want    string // the whole reason; "" that of the sender stays
	}{
		{"wrong topic", 4, long, false, at("mq T"), "0 of 7 packs of g.s were seen in topic T of cluster mq; is it the topic the proxies write to?"},
		{"two clusters", 4, long, false, at("a T", "b T"), "0 of 7 packs of g.s were seen in topic T of clusters a, b; is it the topic the proxies write to?"},
		{"two names", 4, long, false, at("a T", "b U"), "0 of 7 packs of g.s were seen in topic T of cluster a and topic U of cluster b; is it the topic the proxies write to?"},
		{"not yet", 4, long - 1, false, at("mq T"), ""},
		{"nothing waits", 0, 0, false, at("mq T missing"), ""},
		{"missing everywhere", 4, long, true, at("a T missing", "b T missing"), "topic T of clusters a, b does not exist, so its packs wait, and are not sent again; is it the topic the proxies write to?"},
		{"deleted", 4, 0, true, at("mq T missing"), "topic T of cluster mq does not exist, so its packs wait, and are not sent again; is it the topic the proxies write to?"},
		{"missing in one, none seen", 4, long, false, at("a T", "b T missing"),
			"0 of 7 packs of g.s were seen in topic T of clusters a, b; is it the topic the proxies write to? It does not exist in every cluster: topic T of cluster b is missing"},
		{"missing in one", 4, 0, false, at("a T", "b T missing"),
			"topic T of cluster b does not exist, though it does in other clusters; packs that proxies keep for it are sent again after queue.patience; create it there"},
		{"well", 4, 0, false, at("a T"), ""},
	} {
		streams := []sdk.StreamStatus{{Group: "g", Stream: "s", UnfinalPacks: row.unfinal, Unseen: row.unseen, TopicMissing: row.missing, PacksAcked: 7}}
		NameTopics(streams, func(string, string) []confirm.StreamTopic { return row.at })
		if got := streams[0].Stall; got != row.want || (streams[0].StallCode == "") != (row.want == "") {
			t.Errorf("%s: %q (%s), want %q and a code with it", row.name, got, streams[0].StallCode, row.want)
		}
	}
}
