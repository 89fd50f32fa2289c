package queue

import (
	"fmt"
	"strings"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/sdk"
)

// NameTopics tells for streams whose packs do not reach the queue in which topics they are looked for. It replaces the reason
// of the sender, which knows no topics.
func NameTopics(streams []sdk.StreamStatus, topics func(group, stream string) []confirm.StreamTopic) {
	for i := range streams {
		st := &streams[i]
		if st.UnfinalPacks == 0 {
			continue // nothing waits for its topic
		}
		if code, why := whyUnseen(st, topics(st.Group, st.Stream)); why != "" {
			st.StallCode, st.Stall = code, why
		}
	}
}

// whyUnseen returns why packs of a stream are not seen in the topics in which they are looked for.
func whyUnseen(st *sdk.StreamStatus, at []confirm.StreamTopic) (sdk.StreamCode, string) {
	var missing []confirm.StreamTopic
	for _, t := range at {
		if t.Missing {
			missing = append(missing, t)
		}
	}
	starts := st.Unseen > 0
	switch {
	case len(at) == 0 || starts && st.Unseen < sdk.UnseenAfter:
		return sdk.StreamOK, ""
	case len(missing) == len(at) && (st.TopicMissing || starts):
		return sdk.StreamTopicMissing, fmt.Sprintf("%s does not exist, so its packs wait, and are not sent again; is it the topic the proxies write to?", places(missing))
	case starts:
		why := fmt.Sprintf("0 of %d packs of %s.%s were seen in %s; is it the topic the proxies write to?", st.PacksAcked, st.Group, st.Stream, places(at))
		if len(missing) > 0 {
			why += " It does not exist in every cluster: " + places(missing) + " is missing"
		}
		return sdk.StreamNeverSeen, why
	case len(missing) > 0 && len(missing) < len(at):
		return sdk.StreamTopicMissing, fmt.Sprintf("%s does not exist, though it does in other clusters; packs that proxies keep for it are sent again after queue.patience; create it there", places(missing))
	}
	return sdk.StreamOK, ""
}

// places puts topics into words, those of the same name together.
func places(at []confirm.StreamTopic) string {
	var names []string
	clusters := make(map[string][]string)
	for _, t := range at {
		if clusters[t.Topic] == nil {
			names = append(names, t.Topic)
		}
		clusters[t.Topic] = append(clusters[t.Topic], t.Cluster)
	}
	for i, name := range names {
		of := "cluster "
		if len(clusters[name]) > 1 {
			of = "clusters "
		}
		names[i] = "topic " + name + " of " + of + strings.Join(clusters[name], ", ")
	}
	return strings.Join(names, " and ")
}
