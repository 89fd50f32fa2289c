package connector

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"inlong-bridge/connector/confirm/managed"
	"inlong-bridge/connector/internal/consume"
	"inlong-bridge/connector/internal/ends"
	"inlong-bridge/sdk/sdkprom"
)

// run starts the parts, moves records until ctx ends or something fails permanently, drains, and closes the
// parts in order. beside, when not nil, runs next to the poll loop and ends it by returning.
func (b *Bridge) run(ctx, hard context.Context, beside func(ctx context.Context) error) (err error) {
	if b.life != nil {
		return errors.New("running bridge: it has run before; hint: make a new one with New")
	}
	b.life, b.end = context.WithCancel(context.WithoutCancel(ctx))
	defer b.end()
	ballast := tuneCollector(b.limits)
	defer runtime.KeepAlive(ballast)
	b.started = time.Now()
	defer b.shut(hard)
	if b.web, err = listenAdmin(b); err != nil {
		return err
	}
	if err := b.register(); err != nil {
		return err
	}
	// A note may be why the start fails.
	for _, note := range b.cfg.Notes() {
		b.log.Warn("note on the configuration", "note", note)
	}
	if err := b.build(ctx); err != nil {
		if ctx.Err() != nil {
			b.log.Info("told to stop before the start was over; nothing was moved")
			return nil
		}
		return fmt.Errorf("starting bridge: %w", err)
	}
	if b.consumer.Group == nil {
		return nil // everything was moved before
	}
	if err := b.registerOne(sdkprom.New(b.sender)); err != nil {
		return err
	}
	run, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	b.fail = fail
	b.launch()
	b.log.Info("bridge started", "version", b.deps.Version, "instance", b.instance, "group", b.cfg.Kafka.Group,
		"topics", len(b.table.Consumed()), "confirm", b.cfg.Delivery.Confirm, "confirm_reason", b.cfg.ConfirmReason(), "lineage", b.cfg.Delivery.Lineage, "budget", b.limits.Budget, "budget_source", b.limits.BudgetSource, "ceiling", b.cfg.Ceiling(b.limits))
	close(b.ready)
	if beside != nil {
		b.wg.Go(func() { fail(beside(run)) })
	}

	if err := b.consumer.Poll(run); err != nil {
		fail(err)
	}
	cause := context.Cause(run)
	if ctx.Err() == nil && cause != nil && !errors.Is(cause, context.Canceled) && !errors.Is(cause, errDone) {
		b.consumer.Halt()
		b.consumer.FinalCommit(hard)
		return fmt.Errorf("running bridge: %w", cause)
	}
	return b.drain(hard)
}

var errDone = errors.New("nothing is left to do")

// launch starts the goroutines that live as long as the bridge.
func (b *Bridge) launch() {
	b.consumer.Launch(b.loop)
	b.loop("retention", b.retention.Run)
	b.loop("observe", b.observer.Run)
	if b.cfg.Delivery.Watchdog > 0 {
		b.loop("ends", (&ends.Watch{
			Admin: b.admin, Assigned: b.table.Assigned, ReadCommitted: b.cfg.Kafka.Isolation == "read_committed", After: b.watchdogAfter(),
			Draining: b.consumer.Draining, Works: func() func() { return b.loops.Works("ends") },
		}).Run)
	}
	if b.source != nil {
		b.wg.Go(func() { b.source.Follow(b.life, min(b.cfg.InLong.Refresh, managed.AskAtMost), b.reader) })
	}
	if b.reader != nil {
		b.wg.Go(func() {
			if err := b.reader.Run(b.life, b.sender); err != nil && b.life.Err() == nil {
				b.fail(fmt.Errorf("reading the queue behind the proxies: %w", err))
			}
		})
	}
}

// loop starts a goroutine that lives as long as the bridge.
func (b *Bridge) loop(name string, run func(ctx context.Context)) {
	ended := b.loops.Started(name)
	b.wg.Go(func() {
		run(b.life)
		if b.life.Err() == nil {
			ended()
		}
	})
}

// drain waits until everything fetched is final, and says what is left.
func (b *Bridge) drain(hard context.Context) error {
	began := time.Now()
	d := b.consumer.Drain(hard)
	if b.migration != nil {
		ask, cancel := context.WithTimeout(hard, refreshTime)
		b.migration.refresh(ask)
		cancel()
	}
	stopped := b.table.Stopped()
	switch {
	case d.Open+d.Stuck > 0:
		why := "delivery.drain passed"
		if hard.Err() != nil {
			why = "told to stop at once"
		} else if d.Open == 0 {
			why = "nothing can make them final; see why their partitions stopped"
		}
		return fmt.Errorf("%w: %d pieces are not final (%s); they are delivered again after the next start", ErrUnfinished, d.Open+d.Stuck, why)
	case !d.Committed:
		return fmt.Errorf("%w: the last commit failed; what it covers is delivered again after the next start", ErrUnfinished)
	case len(stopped) > 0 && b.migration == nil: // a migration says it in its verdict
		return fmt.Errorf("%w: %d partitions are stopped, the first is %s: %s", ErrUnfinished, len(stopped), stopped[0].Partition, b.textOf(stopped[0].Stopped()))
	}
	b.log.Info("drained", "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// shut closes what was made, in the order in which the parts need each other: the group first, so that
// its last callback still finds the rest. Every step has a bound.
func (b *Bridge) shut(hard context.Context) {
	if b.consumer != nil {
		b.consumer.Leave(hard)
	}
	b.end()
	consume.CloseWithin(hard, b.log, "loops", b.wg.Wait)
	if b.sender != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		if err := b.sender.Close(ctx); err != nil {
			b.log.Debug("closing sender", "err", err)
		}
		cancel()
	}
	if b.reader != nil {
		consume.CloseWithin(hard, b.log, "reader of the queue", b.reader.Close)
	}
	if b.letterClient != nil {
		consume.CloseWithin(hard, b.log, "client for dead letters", b.letterClient.Close)
	}
	if b.direct != nil {
		consume.CloseWithin(hard, b.log, "client of kafka", b.direct.Close)
	}
	if b.web != nil {
		b.web.close()
	}
}
