package sdk_test

import (
	"testing"
	"time"

	"inlong-bridge/sdk"
)

func TestDeliversAndAcks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 2)
		st := e.stream("s")
		for range 10 {
			e.batch(st, 100)
		}
		e.close(time.Second)
		e.log.want(sdk.Final, 1000)
		settle(10 * time.Second)
		if got := e.arrived("s"); len(got) != 1000 {
			t.Errorf("%d records arrived, want 1000", len(got))
		}
	})
}
