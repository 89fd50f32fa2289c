package sdk

import (
	mathrand "math/rand/v2"
	"time"

	"inlong-bridge/sdk/backoff"
	"inlong-bridge/sdk/engine"
)

// What the engine decides about refusals and the choice between proxies; see engine/refused.go and engine/choose.go.

// engine is the configuration of the engine.
func (o *options) engine() engine.Config {
	return engine.Config{
		Finality: o.finality, Retry: backoff.Backoff{Min: o.retryMin, Max: o.retryMax}, RetryLimit: o.retryLimit,
		HoldRefused: o.refusedRetry, HeldRetry: backoff.Backoff{Min: o.refusedMin, Max: o.refusedMax},
		SlowStart: o.slowStart, Random: o.seed,
	}
}

// WithRefusedRetry keeps a pack that proxies refuse permanently, as Held, and tries it again at a pause that grows from
// shortest to longest (doubled each time, with jitter). Its bytes stay in the budget and count for its stream. Of all
// held packs of the sender one is tried at a time, alone on its connection, through each connected proxy in turn, and
// the pause grows after each such turn. The first to be tried is the oldest; when it is refused again, the packs of
// other streams have their turns before it has the next, so that one that is never taken does not stand before those
// that would be. When one is taken, all are Released: they go out as usual, and those that are refused again are Held
// again. Without this option, the default, such a pack is Refused.
func WithRefusedRetry(shortest, longest time.Duration) Option {
	return optionFunc(func(o *options) { o.refusedMin, o.refusedMax, o.refusedRetry = shortest, longest, true })
}

// WithSlowStart is how long a proxy that came back, or takes packs again, needs until it has its whole share; 0 for
// at once. Default 10 s.
func WithSlowStart(d time.Duration) Option {
	return optionFunc(func(o *options) { o.slowStart = d })
}

// WithSeed makes the choice between proxies repeatable. By default each sender chooses in its own way.
func WithSeed(seed uint64) Option {
	return optionFunc(func(o *options) { o.seed = mathrand.NewPCG(seed, seed) })
}
