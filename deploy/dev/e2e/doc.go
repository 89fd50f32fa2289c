// Package e2e runs the program as its users do, in processes of its own that are killed with kill -9, and
// counts what arrives.
//
// Every record carries its identity. A test ends with a verdict over what was produced, what lies in the
// queue behind the proxies and what is committed: nothing missing, nothing changed, nothing foreign,
// and duplicates within what was not final when something was killed.
//
// There are two suites. The ordinary one is part of `go test ./...`: bridge and proxies are processes,
// the Kafka is an embedded one. The one behind the build tag e2e (`make e2e`) needs Java and Maven, and
// runs against Apache Kafka itself: transactions, compaction, leaders that move, TLS and SCRAM, several
// bridges in one group.
//
// `make e2e-pulsar` runs the stories of the same tag that need Apache Pulsar, a standalone of which is
// started by each.
//
//	E2E_PULSAR_RESUME=1   lets the test of the slow reader on Pulsar fail: its reader resumes after a reconnect
//	E2E_SEED=N            the moments of the kills; printed by each test that draws any
//	E2E_REQUIRED=1        what cannot run fails instead of being skipped
//	E2E_KAFKA=3.9,4       the versions of Apache Kafka to run against (default both): NAME of the directories kafka-NAME
//	E2E_JVM='-Xmx2g ...'  options of the brokers' JVM instead of those that suit a test
//	E2E_KAFKA_LOGS=/dir   where their logs lie instead of the tests' temporary folders
//	E2E_DATAPROXY=h:p,... real proxies instead of devproxy, with
//	E2E_QUEUE=kafka://... the Kafka behind them, whose topics are named {group}.{stream},
//	          pulsar://... or the Pulsar (host:port/tenant/namespace), whose topics are named {stream}, and
//	E2E_DATAPROXY_CMD=... the command that starts one of them, {addr} being its address; without it
//	                      they are not killed
//
// The logs of a test that failed stay in deploy/dev/e2e/out.
package e2e
