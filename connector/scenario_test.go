package connector

import (
	"errors"
	"testing"
	"time"
)

func TestDeliversEverything(t *testing.T) {
	for _, confirm := range []string{"ack", "settle", "queue"} {
		t.Run(confirm, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			e.produce("orders", 0, 0, 500, 0)
			e.produce("orders", 1, 0, 300, 0)
			r := e.start(e.config(confirm))
			e.waitCommitted("orders", 0, 500)
			e.waitCommitted("orders", 1, 300)
			e.produce("orders", 1, 300, 100, 0)
			e.waitCommitted("orders", 1, 400)
			if err := r.drain(); err != nil {
				t.Fatalf("Run = %v, want a clean drain", err)
			}
			got := e.arrived()
			if confirm == "ack" { // an ack says nothing about the queue: it may still be on its way
				eventually(t, 5*time.Second, func() error {
					if got = e.arrived(); len(got) < 900 {
						return errors.New("not all arrived")
					}
					return nil
				})
			}
			if m := missing(got, "orders", 0, 500); len(m) > 0 {
				t.Errorf("orders/0: %d records missing: %v", len(m), m)
			}
			if m := missing(got, "orders", 1, 400); len(m) > 0 {
				t.Errorf("orders/1: %d records missing: %v", len(m), m)
			}
			if d := duplicates(got); d != 0 {
				t.Errorf("%d duplicates, want none without a fault", d)
			}
		})
	}
}
