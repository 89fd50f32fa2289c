package manager

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
)

// QueueCluster is a cluster of the queue behind the proxies, as getAllConfig describes it.
//
// Params comes from the Manager and may hold credentials; printing or logging a QueueCluster leaves it out.
type QueueCluster struct {
	Name   string
	Type   string // KAFKA, PULSAR, ...
	Params map[string]string
}

// String returns the cluster's type and name.
func (q QueueCluster) String() string { return q.Type + " " + q.Name }

// LogValue returns the cluster's type and name.
func (q QueueCluster) LogValue() slog.Value { return slog.StringValue(q.String()) }

// QueueConfig is the answer of getAllConfig about the queue behind a cluster of proxies.
type QueueConfig struct {
	MD5      string
	Type     string
	Clusters []QueueCluster
	Topics   map[string]string // "group.stream" -> topic, by the rules of the proxies
	Wraps    map[string]string // "group.stream" -> wrap type, if it is not WrapInLongMsg
}

// WrapInLongMsg is the wrap type of a stream whose packs are in the queue as they were sent. Streams without a wrap type
// have it.
const WrapInLongMsg = "INLONG_MSG_V0"

// Wrap returns the wrap type of a stream, looked up in the same way as its topic.
func (q *QueueConfig) Wrap(group, stream string) string {
	id := topicKey(group, stream)
	if _, own := q.Topics[id]; !own {
		id = group
	}
	if wrap, ok := q.Wraps[id]; ok {
		return wrap
	}
	return WrapInLongMsg
}

// Topic returns the topic of a stream: its own entry, or else the entry of its group, as the proxies look it up.
func (q *QueueConfig) Topic(group, stream string) (topic string, ok bool) {
	if topic, ok = q.Topics[topicKey(group, stream)]; !ok {
		topic, ok = q.Topics[group]
	}
	return topic, ok
}

func topicKey(group, stream string) string {
	if stream == "" {
		return group
	}
	return group + "." + stream
}

// AllConfig asks getAllConfig for a cluster of proxies. md5 is that of an earlier answer, or empty.
// When nothing has changed since, the result's MD5 equals it, and the rest is what the Manager sends
// then: everything again, or nothing.
func (c *Client) AllConfig(ctx context.Context, clusterName, clusterTag, md5 string) (QueueConfig, error) {
	body, err := json.Marshal(struct {
		ClusterName string `json:"clusterName"`
		ClusterTag  string `json:"clusterTag"`
		MD5         string `json:"md5,omitempty"`
	}{clusterName, clusterTag, md5})
	if err != nil {
		return QueueConfig{}, err
	}
	q := question{
		op:          fmt.Sprintf("asking for the queue behind the DataProxy cluster %q", clusterName),
		path:        "/inlong/manager/openapi/dataproxy/getAllConfig",
		contentType: "application/json",
		body:        string(body),
	}
	var config QueueConfig
	err = c.ask(ctx, q, func(body []byte) (hint string, err error) {
		config, hint, err = readAllConfig(body, clusterName, clusterTag, md5)
		return hint, err
	})
	if err != nil {
		return QueueConfig{}, err
	}
	return config, nil
}

// Codes of getAllConfig.
const (
	configOK        = 0
	configUnchanged = 1
)

// inlongID is one stream, or a whole group, with its topic.
type inlongID struct {
	InlongID text            `json:"inlongId"`
	Topic    text            `json:"topic"`
	Params   map[string]text `json:"params"`
}

// readAllConfig reads an answer of getAllConfig.
func readAllConfig(body []byte, clusterName, clusterTag, md5 string) (config QueueConfig, hint string, err error) {
	var answer struct {
		Result  *bool `json:"result"`
		ErrCode int   `json:"errCode"`
		ErrMsg  text  `json:"errMsg"`
		MD5     text  `json:"md5"`
		Data    *struct {
			ProxyCluster struct {
				InlongIDs []inlongID `json:"inlongIds"`
			} `json:"proxyCluster"`
			CacheClusterSet struct {
				Type     text `json:"type"`
				Clusters []struct {
					Name   text            `json:"name"`
					Params map[string]text `json:"params"`
				} `json:"cacheClusters"`
			} `json:"cacheClusterSet"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return QueueConfig{}, malformedHint, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	code := answer.ErrCode
	switch {
	case answer.Result == nil:
		return QueueConfig{}, malformedHint, fmt.Errorf("%w: it has no success flag", ErrMalformed)
	case !*answer.Result || (code != configOK && code != configUnchanged):
		return QueueConfig{}, fmt.Sprintf("check the name %q and the tag %q of the DataProxy cluster in the Manager", clusterName, clusterTag),
			fmt.Errorf("code %d: %w", code, refusal(string(answer.ErrMsg)))
	}
	config = QueueConfig{MD5: string(answer.MD5)}
	if code == configUnchanged && config.MD5 == "" {
		config.MD5 = md5
	}
	if answer.Data == nil {
		if code == configUnchanged {
			return config, "", nil
		}
		return QueueConfig{}, malformedHint, fmt.Errorf("%w: it has no data", ErrMalformed)
	}

	set := answer.Data.CacheClusterSet
	config.Type = strings.ToUpper(strings.TrimSpace(string(set.Type)))
	for _, cluster := range set.Clusters {
		if name := strings.TrimSpace(string(cluster.Name)); name != "" {
			config.Clusters = append(config.Clusters, QueueCluster{Name: name, Type: config.Type, Params: plainParams(cluster.Params)})
		}
	}
	if len(config.Clusters) == 0 && code == configOK {
		return QueueConfig{}, fmt.Sprintf("no queue cluster has the tag of the DataProxy cluster %q; add the tag to one in the Manager", clusterName), ErrNoQueue
	}
	config.Topics, config.Wraps = topics(config.Type, answer.Data.ProxyCluster.InlongIDs)
	return config, "", nil
}

// topics returns the topic of each stream, and the wrap types that matter. An id of exactly two parts names a group and a
// stream; any other id is used as a whole, as the proxies do.
func topics(queueType string, ids []inlongID) (byID, wraps map[string]string) {
	byID = make(map[string]string, len(ids))
	for _, id := range ids {
		name, topic := strings.TrimSpace(string(id.InlongID)), strings.TrimSpace(string(id.Topic))
		if name == "" || topic == "" {
			continue
		}
		group, stream := name, ""
		if parts := strings.Split(strings.TrimRight(name, "."), "."); len(parts) == 2 {
			group, stream = strings.TrimSpace(parts[0]), strings.TrimSpace(parts[1])
		}
		if group == "" {
			continue
		}
		topic = strings.TrimSpace(topic[strings.LastIndexByte(topic, '/')+1:])
		namespace := string(id.Params["namespace"])
		switch {
		case queueType == "TUBE" || queueType == "TUBEMQ":
			topic = namespace
		case queueType == "KAFKA" && topic == stream:
			topic = namespace + "." + topic
		case queueType == "PULSAR":
			// A missing value is that of the cluster.
			if tenant := strings.TrimSpace(string(id.Params["tenant"])); tenant != "" {
				topic = tenant + "/" + namespace + "/" + topic
			} else if namespace != "" {
				topic = namespace + "/" + topic
			}
		}
		if topic == "" {
			continue
		}
		byID[topicKey(group, stream)] = topic
		delete(wraps, topicKey(group, stream)) // of an earlier entry that this one replaces
		if wrap := strings.ToUpper(strings.TrimSpace(string(id.Params["wrapType"]))); wrap != "" && wrap != "NULL" && wrap != WrapInLongMsg {
			if wraps == nil {
				wraps = make(map[string]string)
			}
			wraps[topicKey(group, stream)] = wrap
		}
	}
	return byID, wraps
}

func plainParams(params map[string]text) map[string]string {
	plain := make(map[string]string, len(params))
	for key, value := range params {
		plain[key] = string(value)
	}
	return plain
}
