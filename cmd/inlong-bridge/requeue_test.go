package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/deadletter"
)

func TestBadUsageOfRequeue(t *testing.T) {
	good := writeFile(t, goodConfig)
	for _, tc := range []struct{ flags, want string }{
		{"--reason unroutd", `--reason "unroutd": no letter has it; hint: did you mean unrouted?`},
		{"--reason xyzzy", `--reason "xyzzy": no letter has it; hint: the reasons of letters are unrouted, too_large, refused, poison, undecodable, tombstone`},
		{"--offset 5-4", `--offset "5-4": want an offset such as 17, or first and last such as 17-40`},
		{"--offset 9223372036854775807", `--offset "9223372036854775807": want an offset such as 17, or first and last such as 17-40`},
		{"--since yesterday", `--since "yesterday": want a time such as 2026-01-31T12:00:00Z`},
		{"--on-error skip", `--on-error "skip": want dead_letter or stop`},
		{"--rate -1", "--rate -1: want 0 or more"},
		{"--verbose", "--verbose shows the letters of a --dry-run, which is not given"},
		{"--skip a:AAAAAAAAAAAAAAAAAAAAAA/0@1 --skip-why x --dry-run", "--skip is for a run to the routes, not for --to-source or --dry-run; hint: choose the other letters, or withdraw that one (docs/requeue.md)"},
		{"--yes", "--yes and --other-topic belong to --to-source, which is not given"},
		{"--to-source", "--to-source writes the records into the topics that they came from, and every consumer of these topics will see them again, not only the bridge; " +
			"hint: add --yes if that is meant, or --dry-run to see what would be written"},
		{"", "the configuration has no dead_letter.topic, so there are no letters"},
	} {
		code, stdout, stderr := invoke(t, append([]string{"requeue", "-c", good}, strings.Fields(tc.flags)...)...)
		if code != exitUsage || stdout != "" || stderr != "inlong-bridge: "+tc.want+"\n" {
			t.Errorf("%q: exit %d, stdout %q, stderr %q; want exit 2 and %q", tc.flags, code, stdout, stderr, tc.want)
		}
	}
}

func TestRequeueBringsLettersHome(t *testing.T) {
	src := startSource(t)
	src.produce(t, 0, 3)
	adm := kadm.NewClient(src.client)
	created, err := adm.CreateTopic(t.Context(), 1, 1, nil, "dead")
	if err != nil {
		t.Fatal(err)
	}
	details, err := adm.ListTopics(t.Context(), sourceTopic)
	if err != nil {
		t.Fatal(err)
	}
	for i, reason := range []string{"refused", "too_large"} {
		r := deadletter.Encode(&kgo.Record{Value: []byte(reason), Timestamp: time.Now()}, deadletter.Letter{
			Reason: reason, Topic: sourceTopic, TopicID: details[sourceTopic].ID, Partition: 1, Offset: int64(i), Last: int64(i), Time: time.Now(),
		})
		r.Topic = created.Topic
		if err := src.client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	_, proxies, _ := startDevproxy(t, "--listen", "127.0.0.1:0", "--manager", "127.0.0.1:0",
		"--queue", "kafka://"+src.brokers+"/queue.{group}.{stream}", "--queue-delay", "10ms")
	config := src.bridgeConfig(t, proxies, src.queueSection()+"\ndead_letter: {topic: dead}\n")

	code, stdout, stderr := invoke(t, "requeue", "-c", config, "--dry-run", "--reason", "refused", "-v")
	if code != exitClean || !strings.Contains(stdout, "0@0  chosen  refused  ") || !strings.Contains(stdout, ": 1 chosen, 1 not chosen, 0 older letter,") {
		t.Errorf("dry run: exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	code, stdout, stderr = invoke(t, "requeue", "-c", config, "--json")
	var v struct {
		Result, Group string
		Sums          struct{ Final int64 }
		Letters       []struct {
			Verdict, Reason string
			Letters         int64
		}
	}
	if err := json.Unmarshal([]byte(stdout), &v); code != exitClean || err != nil || v.Result != "PASS" || v.Sums.Final != 2 || v.Group != "bridge.requeue" || len(v.Letters) != 2 {
		t.Errorf("requeue: exit %d, %v, stdout %q, stderr %q", code, err, stdout, stderr)
	}
	code, stdout, stderr = invoke(t, "requeue", "-c", config, "--to-source", "--dry-run")
	if code != exitClean || !strings.Contains(stdout, sourceTopic+"/1") {
		t.Errorf("dry run to the source: exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	code, stdout, stderr = invoke(t, "requeue", "-c", config, "--to-source", "--yes")
	if code != exitClean || !strings.Contains(stdout, "PASS (source: ") || !strings.Contains(stderr, "every consumer of these topics will see them again") {
		t.Errorf("to the source: exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	ends, err := adm.ListEndOffsets(t.Context(), sourceTopic)
	if err != nil {
		t.Fatal(err)
	}
	var n int64
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	if n != 5 {
		t.Errorf("%d records in the source, want 3 and the 2 that went back", n)
	}
	if code, _, stderr = invoke(t, "requeue", "-c", writeFile(t, strings.Replace(goodConfig, "routes:", "dead_letter: {topic: dead}\nroutes:", 1)), "--group", "bridge"); code != exitUsage {
		t.Errorf("with the bridge's own group: exit %d, stderr %q", code, stderr)
	}
}
