//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// releases are the versions of Apache Kafka to run against, the oldest first. kafka-NAME/pom.xml says which
// one exactly.
func releases() []string {
	if list := os.Getenv("E2E_KAFKA"); list != "" {
		return strings.Split(list, ",")
	}
	return []string{"3.9", "4"}
}

// newest is the version for what needs to be seen with one only.
func newest() string { all := releases(); return all[len(all)-1] }

// java is a command that runs a class of the release in little memory.
func (r *release) java(class string, args ...string) *exec.Cmd {
	jvm := []string{"-Xmx384m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}
	if other := os.Getenv("E2E_JVM"); other != "" {
		jvm = strings.Fields(other)
	}
	all := append(append(jvm,
		"-Djava.net.preferIPv4Stack=true",
		"-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
		"-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config=warn",
		"-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaConfig=warn",
		"-cp", filepath.Join(r.jars, "*"), class,
	), args...)
	return command("java", all...)
}
