package kafkaclient

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails when a client, a broker or a request of a test still runs after all of them ended.
func TestMain(m *testing.M) {
	code := m.Run()
	if left := waitForEnd(5 * time.Second); code == 0 && left != "" {
		fmt.Fprintf(os.Stderr, "goroutines that did not end:\n%s\n", left)
		code = 1
	}
	os.Exit(code)
}

func waitForEnd(patience time.Duration) string {
	tick, deadline := time.NewTicker(10*time.Millisecond), time.NewTimer(patience)
	defer tick.Stop()
	defer deadline.Stop()
	for {
		buf := make([]byte, 1<<20)
		var left []string
		for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			for _, of := range []string{"franz-go", "net/http.", "connector/kafkaclient"} {
				if strings.Contains(g, of) && !strings.Contains(g, "TestMain") {
					left = append(left, g)
					break
				}
			}
		}
		if len(left) == 0 {
			return ""
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return strings.Join(left, "\n\n")
		}
	}
}
