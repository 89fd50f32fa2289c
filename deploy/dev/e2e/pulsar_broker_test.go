//go:build e2e || chaos

package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"inlong-bridge/connector/pulsarhandler"
)

// pulsarTenant is the tenant of everything that the tests do.
const pulsarTenant = "acme"

// pulsarNode is a running Pulsar standalone. It may be killed and started again.
type pulsarNode struct {
	b      *bench
	name   string
	r      *release
	broker string // host:port
	web    string
	token  string // of a superuser, "" where there is no authentication
	args   []string
	home   *bench    // whose end is the end of the broker
	shared **process // the process, for all copies of the node
	*process
}

func (b *bench) newPulsar(r *release, name string) *pulsarNode {
	return &pulsarNode{shared: new(*process), home: b, b: b, name: name, r: r, broker: b.freeAddr(), web: b.freeAddr()}
}

// on is n for another test.
func (n *pulsarNode) on(b *bench) *pulsarNode {
	other := *n
	other.b, other.process = b, *n.shared
	return &other
}

// configure writes the configuration.
func (n *pulsarNode) configure(more ...string) {
	b := n.b
	b.Helper()
	lines := append([]string{
		"clusterName=standalone", "bindAddress=127.0.0.1", "advertisedAddress=127.0.0.1",
		"brokerServicePort=" + port(n.broker), "webServicePort=" + port(n.web),
		"managedLedgerDefaultEnsembleSize=1", "managedLedgerDefaultWriteQuorum=1", "managedLedgerDefaultAckQuorum=1",
		"allowLoopback=true", "listeningInterface=lo", "allowEphemeralPorts=true", "loadBalancerEnabled=false",
		"brokerDeleteInactiveTopicsEnabled=false", "defaultRetentionTimeInMinutes=-1", "defaultRetentionSizeInMB=-1",
		"allowAutoTopicCreation=false", "managedLedgerMinLedgerRolloverTimeMinutes=0",
		// Small machines.
		"numIOThreads=2", "numHttpServerThreads=4", "journalSyncData=false",
	}, more...)
	conf := b.write(n.name+".conf", strings.Join(lines, "\n")+"\n")
	log := b.write(n.name+"-log4j2.xml", `<Configuration><Appenders><Console name="c"><PatternLayout pattern="%d{HH:mm:ss.SSS} %p %c{1} %m%n%throwable{short}"/></Console></Appenders>`+
		`<Loggers><Root level="warn"><AppenderRef ref="c"/></Root></Loggers></Configuration>`)
	data := b.TempDir()
	n.args = []string{"-Xms128m", "-Xmx384m", "-XX:MaxDirectMemorySize=256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dlog4j2.configurationFile=" + log, "-Dlog4j.shutdownHookEnabled=false", "-Dio.netty.tryReflectionSetAccessible=true"}
	for _, open := range []string{"java.base/java.io", "java.base/java.util.zip", "java.base/java.nio", "java.base/jdk.internal.misc", "java.base/sun.net", "java.management/sun.management"} {
		n.args = append(n.args, "--add-opens", open+"=ALL-UNNAMED")
	}
	n.args = append(n.args,
		"-Dbookkeeper.metadata.bookie.drivers=org.apache.pulsar.metadata.bookkeeper.PulsarMetadataBookieDriver",
		"-Dbookkeeper.metadata.client.drivers=org.apache.pulsar.metadata.bookkeeper.PulsarMetadataClientDriver",
		"-cp", filepath.Join(n.r.jars, "*"), "org.apache.pulsar.PulsarStandaloneStarter", "--config", conf, "-nfw", "-nss",
		"--metadata-dir", filepath.Join(data, "metadata"), "--bookkeeper-dir", filepath.Join(data, "bookkeeper"), "--bookkeeper-port", port(b.freeAddr()))
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}

// restart starts it, also again after a kill, and waits until it works.
func (n *pulsarNode) restart() {
	n.b.Helper()
	began := time.Now()
	n.begin()
	n.up()
	n.b.Logf("%s is up after %v", n.name, time.Since(began).Round(100*time.Millisecond))
}

func (n *pulsarNode) begin() {
	n.b.Helper()
	n.process = n.home.start(n.name, command("java", n.args...))
	*n.shared = n.process
}

// up waits until it works. One that ends at its start is started again a few times: while it was down another
// process may have had its port.
func (n *pulsarNode) up() {
	n.b.Helper()
	tries := 0
	n.b.eventually(2*time.Minute, func() error {
		if n.ended() {
			if tries++; tries > 5 {
				n.b.Fatalf("%s ended with %d; its log ends with\n%s", n.name, n.code, n.tail())
			}
			n.b.pause(time.Second)
			n.begin()
		}
		return n.healthy()
	})
}

func (n *pulsarNode) healthy() error {
	_, err := n.admin(http.MethodGet, "brokers/health", "")
	return err
}

// setUp makes the tenant.
func (n *pulsarNode) setUp() {
	n.b.Helper()
	n.must(http.MethodPut, "tenants/"+pulsarTenant, `{"allowedClusters":["standalone"]}`)
}

// admin asks the admin API.
func (n *pulsarNode) admin(method, path, body string) (string, error) {
	req, err := http.NewRequestWithContext(n.b.Context(), method, "http://"+n.web+"/admin/v2/"+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	if n.token != "" {
		req.Header.Set("Authorization", "Bearer "+n.token)
	}
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %.200s", method, path, resp.Status, text)
	}
	return string(text), err
}

// must asks the admin API until it does what it is asked. Right after a start it may not.
func (n *pulsarNode) must(method, path, body string) string {
	n.b.Helper()
	text := ""
	n.b.eventually(time.Minute, func() (err error) {
		text, err = n.admin(method, path, body)
		if err != nil && strings.Contains(err.Error(), " 409 ") { // an earlier try did it
			err = nil
		}
		return err
	})
	return text
}

// namespace makes one.
func (n *pulsarNode) namespace(name string) {
	n.b.Helper()
	n.must(http.MethodPut, "namespaces/"+pulsarTenant+"/"+name, "")
}

// sink makes a queue for these source topics, of two partitions each, with nothing before it yet.
func (n *pulsarNode) sink(namespace string, sources []string) *sink {
	n.b.Helper()
	s := &sink{b: n.b, pulsar: &pulsarhandler.Cluster{
		ServiceURL: "pulsar://" + n.broker, Tenant: pulsarTenant, Namespace: namespace, Topic: "{group}.{stream}",
	}}
	n.namespace(namespace)
	for _, t := range s.topics(sources) {
		n.must(http.MethodPut, "persistent/"+strings.TrimPrefix(t, "persistent://")+"/partitions", "2")
	}
	return s
}
