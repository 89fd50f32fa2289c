package connector

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/sdk/backoff"
	"inlong-bridge/sdk/manager"
)

// A bridge may be started before what it needs: brokers that are still coming up, topics that nobody has created yet,
// a Manager that is being upgraded. The start waits for them as a running bridge waits through the same outage, at
// most kafka.start_timeout in all. It ends at once for what waiting does not mend.

const (
	tryTimeout = 15 * time.Second // of one try
	// unclearFor is how long an error is tried again that may be an outage and may be a wrong configuration.
	unclearFor = 3 * time.Second
)

var (
	startPauses = backoff.Backoff{Min: 200 * time.Millisecond, Max: 5 * time.Second} // between two tries
	// A wait is logged at its beginning, and then at these pauses.
	startReminders = backoff.Backoff{Min: 30 * time.Second, Max: 10 * time.Minute}
)

// notThereError says that Kafka answers and has none of the topics that the routes want.
type notThereError string

func (e notThereError) Error() string { return string(e) }

// lastingError is a mistake in the configuration that shows only once Kafka answers.
type lastingError struct{ err error }

func (e lastingError) Error() string { return e.err.Error() }
func (e lastingError) Unwrap() error { return e.err }

// outlookOf judges an error of the start.
func outlookOf(err error) kafkaclient.Outlook {
	if _, ok := errors.AsType[lastingError](err); ok {
		return kafkaclient.Lasts
	}
	if _, ok := errors.AsType[notThereError](err); ok || errors.Is(err, kerr.UnknownTopicOrPartition) {
		return kafkaclient.Passes
	}
	return kafkaclient.OutlookOf(err)
}

// managerOutlook judges why the Manager does not tell the queue. Of several Managers, one that is only away is enough
// for waiting.
func managerOutlook(err error) kafkaclient.Outlook {
	if all, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](err); ok {
		for _, e := range all.Unwrap() {
			if managerOutlook(e) == kafkaclient.Passes {
				return kafkaclient.Passes
			}
		}
		return kafkaclient.Lasts
	}
	said, ok := errors.AsType[*manager.Error](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return kafkaclient.Passes
	case !ok, errors.Is(err, manager.ErrRefused), errors.Is(err, manager.ErrNoQueue), errors.Is(err, manager.ErrMalformed):
		return kafkaclient.Lasts
	case said.Status == 0: // no answer
		return kafkaclient.OutlookOf(err)
	case said.Status >= 500, said.Status == 429:
		return kafkaclient.Passes
	}
	return kafkaclient.Lasts // credentials, or not the Manager's URL
}

// awaitStart calls try until it succeeds, ctx ends, judge says that its error lasts, or kafka.start_timeout has passed
// since the bridge started. what names what is waited for.
func (b *Bridge) awaitStart(ctx context.Context, what string, judge func(error) kafkaclient.Outlook, try func(ctx context.Context) error) error {
	began := time.Now()
	var unclear, reminded time.Time // since when errors are unclear; when the wait was logged
	reminder := startReminders.Min
	for pause := startPauses.Min; ; pause = startPauses.Next(pause) {
		err := b.tryStart(ctx, try)
		if err == nil {
			if !reminded.IsZero() {
				b.waitingFor("")
				b.log.Info("the start goes on", "waited_for", what, "after", time.Since(began).Round(time.Millisecond).String())
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		now := time.Now()
		switch judge(err) {
		case kafkaclient.Lasts:
			return err
		case kafkaclient.Unclear:
			if unclear.IsZero() {
				unclear = now
			}
			if now.Sub(unclear) >= unclearFor {
				return err
			}
		case kafkaclient.Passes:
			unclear = time.Time{}
		}
		left, limit := b.startTimeLeft(now)
		if left <= 0 {
			return fmt.Errorf("kafka.start_timeout (%v) passed: %w", limit, err)
		}
		b.waitingFor(err.Error())
		if reminded.IsZero() || now.Sub(reminded) >= reminder {
			if !reminded.IsZero() {
				reminder = startReminders.Next(reminder)
			}
			reminded = now
			atMost := "no limit"
			if limit > 0 {
				atMost = limit.String()
			}
			b.log.Warn("the start waits", "for", what, "waited", now.Sub(b.started).Round(time.Second).String(), "at_most", atMost, "err", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(pause, left)):
		}
	}
}

// tryStart bounds one try by its own time and by what is left of kafka.start_timeout.
func (b *Bridge) tryStart(ctx context.Context, try func(ctx context.Context) error) error {
	bound := tryTimeout
	if left, limit := b.startTimeLeft(time.Now()); limit > 0 {
		bound = min(bound, max(left, time.Second))
	}
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	return try(ctx)
}

// startTimeLeft returns what is left of kafka.start_timeout, and that limit; without a limit there is always time left.
func (b *Bridge) startTimeLeft(now time.Time) (left, limit time.Duration) {
	limit = b.cfg.Kafka.StartTimeout
	if limit == 0 {
		return startPauses.Max, 0
	}
	return limit - now.Sub(b.started), limit
}

// waitingFor notes why the start waits, "" when it goes on.
func (b *Bridge) waitingFor(why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waits = why
}

// startingStatus fills in what can be told before the bridge has its parts.
func (b *Bridge) startingStatus(s *Status) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	missing, _ := b.table.Wanting()
	s.Group = GroupStatus{Group: b.cfg.Kafka.Group, InstanceID: b.cfg.Kafka.InstanceID, Missing: missing, Error: b.waits}
	s.Starting = b.waits
}
