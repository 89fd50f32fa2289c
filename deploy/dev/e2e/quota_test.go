//go:build e2e

package e2e

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// quotaBytes is what the brokers let the bridge read, each of them, per second: less than comes.
const quotaBytes = 20_000

// underQuota has the brokers hold the bridge's fetches back for seconds at a time, with the shipped
// session time-out: it stays in its group, so that nothing comes twice, and catches up.
func (k *kafka) underQuota() {
	b := k.b
	b.Helper()
	const group, client = "quota", "under-quota"
	topics := []string{"quota"}
	k.createTopics(6, 3, topics)
	name := client
	done, err := k.admin.AlterClientQuotas(b.Context(), []kadm.AlterClientQuotaEntry{{
		Entity: kadm.ClientQuotaEntity{{Type: "client-id", Name: &name}},
		Ops:    []kadm.AlterClientQuotaOp{{Key: "consumer_byte_rate", Value: quotaBytes}},
	}})
	if err != nil {
		b.Fatalf("setting a quota: %v", err)
	}
	for _, d := range done {
		if d.Err != nil {
			b.Fatalf("setting a quota: %v", d.Err)
		}
	}
	to := b.startSink(k.cluster, 3, topics, 1, "--queue-delay", "100ms")
	bridge := b.startBridge("quota", bridgeSettings(k.cluster, group, topics, to).set("kafka.client_id", client).set("kafka.session_timeout", "45s"))
	l := newLedger()
	began := time.Now()
	load := l.startLoad(k.cluster, 1500, topics...)
	b.pause(15 * time.Second)
	load.stop()
	k.caughtUp(group, topics, 2*drainLimit, bridge)
	b.complete(fmt.Sprintf("quota of %d bytes/s a broker, done after %v", quotaBytes, time.Since(began).Round(time.Second)), l.judge(to.inQueue(topics)), 0)
	bridge.kill()
}
