package connector

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain checks, once all tests are through, that every goroutine of bridges has ended.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if left := leaked(5 * time.Second); left != "" {
			fmt.Fprintf(os.Stderr, "goroutines are left:\n%s\n", left)
			code = 1
		}
	}
	os.Exit(code)
}

func leaked(within time.Duration) (left string) {
	for deadline := time.Now().Add(within); ; {
		buf := make([]byte, 4<<20)
		left = ""
		for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			for _, of := range []string{"connector.(*Bridge)", "replay.(*Reader)", "connector.(*web)", "sdk.(*Sender)", "confirm.(*", "kgo.(*Client)"} {
				if strings.Contains(g, of) {
					left += g + "\n\n"
					break
				}
			}
		}
		if left == "" || time.Now().After(deadline) {
			return left
		}
		<-time.After(20 * time.Millisecond)
	}
}
