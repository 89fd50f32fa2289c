package connector

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"inlong-bridge/connector/confirm/managed"
	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/ends"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk/sdkprom"
)

// run starts the parts, moves records until ctx ends or something fails for good, drains, and closes the
// parts in order. beside, when not nil, runs next to the poll loop and ends it by returning.
func (b *Bridge) run(ctx, hard context.Context, beside func(ctx context.Context) error) (err error) {
	if b.life != nil {
		return errors.New("running bridge: it has run before; hint: make a new one with New")
	}
	b.soft = ctx
	b.life, b.end = context.WithCancel(context.WithoutCancel(ctx))
	defer b.end()
	applyMemoryLimit(b.limits)
	ballast := make([]byte, ballastBytes(b.limits))
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
	if b.group == nil {
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
		"topics", len(b.consumed()), "confirm", b.cfg.Delivery.Confirm, "confirm_reason", b.cfg.ConfirmReason(), "budget", b.limits.Budget, "budget_source", b.limits.BudgetSource)
	close(b.ready)
	if beside != nil {
		b.wg.Go(func() { fail(beside(run)) })
	}

	if err := b.poll(run); err != nil {
		fail(err)
	}
	cause := context.Cause(run)
	if ctx.Err() == nil && cause != nil && !errors.Is(cause, context.Canceled) && !errors.Is(cause, errDone) {
		b.draining.Store(true) // nothing more is begun
		b.finalCommit(hard)
		return fmt.Errorf("running bridge: %w", cause)
	}
	return b.drain(hard)
}

var errDone = errors.New("nothing is left to do")

// launch starts the goroutines that live as long as the bridge.
func (b *Bridge) launch() {
	b.loop("unpark", b.pendingLoop)
	b.loop("commit", b.commitLoop)
	b.loop("reread", b.reread.Run)
	b.loop("watch", b.watchLoop)
	b.loop("retention", b.retention.Run)
	b.loop("observe", b.observer.Run)
	if b.cfg.Delivery.Watchdog > 0 {
		b.loop("ends", (&ends.Watch{
			Admin: b.admin, Assigned: b.assigned, ReadCommitted: b.cfg.Kafka.Isolation == "read_committed", After: b.watchdogAfter(),
			Draining: b.draining.Load, Works: func() func() { return b.loops.Works("ends") },
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

// drain waits until everything fetched is final, reading again what gets lost, at most delivery.drain.
func (b *Bridge) drain(hard context.Context) error {
	began := time.Now()
	b.draining.Store(true)
	b.board.Set(reason.New(drainingKey, began, reason.KindOf(reason.Draining).Meaning))
	b.gates.Refer(gatesOf(b.assigned()), drainingKey, began, true)
	for _, p := range b.assigned() {
		p.DropUnbegun()
	}
	b.sender.Seal()
	open, stuck := b.unfinishedWork()
	b.log.Info("draining", "pieces_not_final", open+stuck, "at_most", b.cfg.Delivery.Drain)
	ctx, cancel := context.WithTimeout(hard, b.cfg.Delivery.Drain)
	defer cancel()
	b.progress.Wait(func() bool { open, _ := b.unfinishedWork(); return open == 0 }, ctx.Done())
	open, stuck = b.unfinishedWork()
	committed := b.finalCommit(hard)
	b.drained.Store(true)
	if b.migration != nil {
		ask, cancel := context.WithTimeout(hard, refreshTime)
		b.migration.refresh(ask)
		cancel()
	}
	stopped := b.stoppedPartitions()
	switch {
	case open+stuck > 0:
		why := "delivery.drain passed"
		if hard.Err() != nil {
			why = "told to stop at once"
		} else if open == 0 {
			why = "nothing can make them final; see why their partitions stopped"
		}
		return fmt.Errorf("%w: %d pieces are not final (%s); they are delivered again after the next start", ErrUnfinished, open+stuck, why)
	case !committed:
		return fmt.Errorf("%w: the last commit failed; what it covers is delivered again after the next start", ErrUnfinished)
	case len(stopped) > 0 && b.migration == nil: // a migration says it in its verdict
		return fmt.Errorf("%w: %d partitions are stopped, the first is %s: %s", ErrUnfinished, len(stopped), stopped[0].Partition, b.textOf(stopped[0].Stopped()))
	}
	b.log.Info("drained", "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// stoppedPartitions returns the partitions that cannot go on.
func (b *Bridge) stoppedPartitions() (out []*assign.Assignment) {
	for _, p := range b.assigned() {
		if p.Stopped() != nil {
			out = append(out, p)
		}
	}
	return out
}

// unfinishedWork counts pieces that may still become final, chunks that are half sent among them, and
// those that will not while the reasons last that stop their partitions.
func (b *Bridge) unfinishedWork() (open, stuck int) {
	for _, p := range b.assigned() {
		n := p.Checkpoint().Unfinal()
		dead := min(n, p.Gate().Stranded())
		stuck += dead
		n -= dead
		chunks, _ := p.Waiting()
		if p.Stopped() != nil { // nothing takes them while the reason lasts
			stuck, chunks = stuck+chunks, 0
		}
		open += n + chunks
	}
	return open, stuck
}

// finalCommit commits what may be committed, in a time that fits a shutdown.
func (b *Bridge) finalCommit(hard context.Context) bool {
	limit := 5 * time.Second
	if hard.Err() != nil {
		limit = time.Second
	}
	ctx, cancel := context.WithTimeout(b.life, limit)
	defer cancel()
	for !b.committer.Commit(ctx, b.assigned()) {
		select { // a rebalance or a coordinator that moves passes
		case <-ctx.Done():
			return false
		case <-hard.Done():
			return false
		case <-time.After(100 * time.Millisecond):
		}
	}
	return true
}

// shut closes what was made, in the order in which the parts need each other: the group first, so that
// its last callback still finds the rest. Every step has a bound.
func (b *Bridge) shut(hard context.Context) {
	b.drained.Store(true)
	b.leaveGroup(hard)
	b.end()
	b.closing(hard, "loops", b.wg.Wait)
	if b.sender != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		if err := b.sender.Close(ctx); err != nil {
			b.log.Debug("closing sender", "err", err)
		}
		cancel()
	}
	if b.reader != nil {
		b.closing(hard, "reader of the queue", b.reader.Close)
	}
	if b.direct != nil {
		b.closing(hard, "client of kafka", b.direct.Close)
	}
	if b.web != nil {
		b.web.close()
	}
}
