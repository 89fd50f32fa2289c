package kafkaclient

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Producer is what Produce needs of *kgo.Client.
type Producer interface {
	ProduceSync(ctx context.Context, recs ...*kgo.Record) kgo.ProduceResults
}

// Produce writes records and waits until each is acknowledged or given up. It returns an error for each of them, nil for one that is
// acknowledged: one of which nothing is heard is not.
func Produce(ctx context.Context, p Producer, recs []*kgo.Record) []error {
	errs, at := make([]error, len(recs)), make(map[*kgo.Record]int, len(recs))
	for i, r := range recs {
		errs[i] = errors.New("the client gave no answer") // replaced below
		at[r] = i
	}
	for _, r := range p.ProduceSync(ctx, recs...) {
		errs[at[r.Record]] = r.Err
	}
	return errs
}
