package leaktest

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestGoroutineThatIsLeftIsFound(t *testing.T) {
	ignore := []goleak.Option{goleak.IgnoreCurrent()}
	if err := find(time.Second, ignore); err != nil {
		t.Fatalf("nothing is left, and found: %v", err)
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		<-stop
	}()
	if err := find(0, ignore); err == nil {
		t.Error("a goroutine is left, and not found")
	}
	close(stop)
	<-ended
	if err := find(time.Second, ignore); err != nil {
		t.Errorf("the goroutine has ended, and is found: %v", err)
	}
}
