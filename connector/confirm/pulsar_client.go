package confirm

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/pulsar-client-go/pulsar"
	"github.com/apache/pulsar-client-go/pulsar/backoff"
	pulsarlog "github.com/apache/pulsar-client-go/pulsar/log"
	"github.com/prometheus/client_golang/prometheus"
)

// pulsarCloseWait is how long closing waits. The client may take until its broker is back; what is left then
// ends by itself.
const pulsarCloseWait = 5 * time.Second

// pulsarLeave is after how long a question that was not answered is not waited for any more.
const pulsarLeave = 2 * time.Minute

// pulsarClient is pulsarConn over the client of Pulsar.
//
// That client's readers lose messages when they reconnect: those that they hold of a batch. So nothing that
// a reader returns once it has begun to reconnect is used; the moment is known because it asks for a new
// backoff policy then. Its calls end when the broker likes it, so each runs in a goroutine of its own, one
// per partition and kind, and the caller waits as long as it wants.
type pulsarClient struct {
	reading pulsar.Client
	asking  pulsar.Client // connections of its own: an answer does not queue behind messages
	trouble trouble

	mu     sync.Mutex
	askers map[string]*pulsarAsker // by partition
	closed bool

	work sync.WaitGroup // what runs in goroutines of its own; added to under mu, while not closed
}

// pulsarAsker asks the broker of one partition for its end.
type pulsarAsker struct {
	turn  chan struct{} // holds a token while nobody asks
	mu    sync.Mutex
	cons  pulsar.Consumer // nil when there is none
	began time.Time       // when the last question began
}

func dialPulsar(cfg PulsarCluster, timeout time.Duration, log *slog.Logger) (pulsarConn, error) {
	c := &pulsarClient{askers: map[string]*pulsarAsker{}}
	opts := pulsar.ClientOptions{
		URL: cfg.ServiceURL, ConnectionTimeout: timeout,
		OperationTimeout:  timeout * 3 / 4,           // its own word comes before the reader's patience is over
		KeepAliveInterval: max(timeout, time.Second), // a connection without a word for twice as long is cut
		TLSConfig:         cfg.TLS,
		Logger:            pulsarLogger(log, &c.trouble),
		MetricsRegisterer: prometheus.NewRegistry(), // the bridge has its own
	}
	if cfg.Token != nil {
		opts.Authentication = pulsar.NewAuthenticationTokenFromSupplier(cfg.Token)
	}
	var err error
	if c.reading, err = pulsar.NewClient(opts); err != nil {
		return nil, err
	}
	opts.MetricsRegisterer = prometheus.NewRegistry()
	if c.asking, err = pulsar.NewClient(opts); err != nil {
		c.reading.Close()
		return nil, err
	}
	return c, nil
}

// trouble is what the client logged last about a connection that it could not make: why a broker turned it away, or
// that its certificate is not good. The errors that it returns do not say.
type trouble struct {
	mu   sync.Mutex
	text string
	at   time.Time
}

func (t *trouble) note(r *slog.Record) {
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "error" {
			text += ": " + a.Value.String()
		}
		return true
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text, t.at = text, time.Now()
}

// since returns what was logged since then, "" for nothing.
func (t *trouble) since(began time.Time) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at.Before(began) {
		return ""
	}
	return t.text
}

// pulsarLogger has the client's words at level debug: what an operator needs to know is said by the reader.
func pulsarLogger(log *slog.Logger, t *trouble) pulsarlog.Logger {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return pulsarlog.NewLoggerWithSlog(slog.New(debugHandler{log.Handler(), t, nil}))
}

type debugHandler struct {
	slog.Handler
	trouble *trouble
	attrs   []slog.Attr // given before the record
}

func (h debugHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || h.Handler.Enabled(ctx, slog.LevelDebug)
}

func (h debugHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		whole := r.Clone()
		whole.AddAttrs(h.attrs...)
		h.trouble.note(&whole)
	}
	if !h.Handler.Enabled(ctx, slog.LevelDebug) {
		return nil
	}
	r.Level = slog.LevelDebug
	return h.Handler.Handle(ctx, r)
}

func (h debugHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return debugHandler{h.Handler.WithAttrs(attrs), h.trouble, append(slices.Clip(h.attrs), attrs...)}
}

func (h debugHandler) WithGroup(name string) slog.Handler {
	return debugHandler{h.Handler.WithGroup(name), h.trouble, h.attrs}
}

// steady tries again after the same pause.
type steady time.Duration

func (s steady) Next() time.Duration     { return time.Duration(s) }
func (steady) IsMaxBackoffReached() bool { return false }
func (steady) Reset()                    {}

// begin runs f in a goroutine of its own. After close it does not: closing the clients ends everything.
func (c *pulsarClient) begin(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.work.Go(f)
	}
	return !c.closed
}

// await runs f in its own goroutine and waits for it, or for ctx. What comes too late is given to late.
func await[T any](ctx context.Context, c *pulsarClient, f func() (T, error), late func(T)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done, asked := make(chan result), time.Now()
	began := c.begin(func() {
		v, err := f()
		select {
		case done <- result{v, err}:
		case <-ctx.Done():
			if err == nil && late != nil {
				late(v)
			}
		}
	})
	if !began {
		var none T
		return none, ErrClosed
	}
	select {
	case r := <-done:
		return r.v, c.why(r.err, asked)
	case <-ctx.Done():
		var none T
		return none, c.why(context.Cause(ctx), asked)
	}
}

// why adds what the client logged to an error that says no more than that it failed.
func (c *pulsarClient) why(err error, asked time.Time) error {
	if err == nil {
		return nil
	}
	if text := c.trouble.since(asked); text != "" {
		return fmt.Errorf("%w: %s", err, text)
	}
	return err
}

// asker returns the one of a partition, with its turn taken.
func (c *pulsarClient) asker(ctx context.Context, partition string) (*pulsarAsker, error) {
	c.mu.Lock()
	a := c.askers[partition]
	if a == nil {
		a = &pulsarAsker{turn: make(chan struct{}, 1)}
		a.turn <- struct{}{}
		c.askers[partition] = a
	}
	c.mu.Unlock()
	select {
	case <-a.turn:
		a.mu.Lock()
		a.began = time.Now()
		a.mu.Unlock()
		return a, nil
	case <-ctx.Done():
	}
	// A question ends when the broker is back. Closing its consumer would not end it but leave it without an answer for
	// ever. Should one be without an answer for very long all the same, it is left to itself.
	a.mu.Lock()
	left := time.Since(a.began) > pulsarLeave
	a.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if left && c.askers[partition] == a {
		delete(c.askers, partition)
	}
	return nil, context.Cause(ctx)
}

func (a *pulsarAsker) free() { a.turn <- struct{}{} }

func (c *pulsarClient) partitions(ctx context.Context, topic string) ([]string, error) {
	meta, err := c.asker(ctx, "metadata of "+topic)
	if err != nil {
		return nil, err
	}
	names, err := await(ctx, c, func() ([]string, error) {
		defer meta.free()
		return c.asking.TopicPartitions(topic)
	}, nil)
	if err != nil && strings.Contains(err.Error(), "TopicNotFound") {
		return nil, nil // it, or its namespace; the broker says no more
	}
	if err != nil || len(names) != 1 || names[0] != topic {
		return names, err
	}
	// The same answer says that the topic has no partitions, and that it does not exist.
	a, err := c.asker(ctx, topic)
	if err != nil {
		return nil, err
	}
	return await(ctx, c, func() ([]string, error) {
		defer a.free()
		a.mu.Lock()
		known := a.cons
		a.mu.Unlock()
		if known != nil {
			if _, err := known.GetLastMessageIDs(); err == nil {
				return names, nil
			}
			c.drop(a)
		}
		there, err := c.exists(topic)
		if !there {
			return nil, err
		}
		return names, err
	}, nil)
}

// exists finds out whether a topic without partitions is there. Subscribing to its name would create it where
// the broker creates topics by itself; a pattern is only compared with the topics of the namespace.
func (c *pulsarClient) exists(topic string) (bool, error) {
	opts := askingOptions()
	opts.TopicsPattern = regexp.QuoteMeta(topic)
	opts.AutoDiscoveryPeriod = time.Hour // it is closed at once
	cons, err := c.asking.Subscribe(opts)
	if err != nil {
		return false, err
	}
	defer cons.Close()
	ids, err := cons.GetLastMessageIDs()
	return len(ids) > 0, err
}

// askingOptions are those of a consumer that asks and receives nothing: it leaves nothing on the broker, and
// what it is sent stays where it is.
func askingOptions() pulsar.ConsumerOptions {
	return pulsar.ConsumerOptions{
		SubscriptionName: "inlong-bridge-ends-" + rand.Text(), SubscriptionMode: pulsar.NonDurable,
		Type: pulsar.Shared, ReceiverQueueSize: 1,
		BackOffPolicyFunc: func() backoff.Policy { return steady(200 * time.Millisecond) },
	}
}

func (c *pulsarClient) last(ctx context.Context, partition string) (Bounds, error) {
	a, err := c.asker(ctx, partition)
	if err != nil {
		return Bounds{}, err
	}
	return await(ctx, c, func() (Bounds, error) {
		defer a.free()
		b, err := c.ask(a, partition)
		if err != nil {
			c.drop(a)
		}
		return b, err
	}, nil)
}

func (c *pulsarClient) ask(a *pulsarAsker, partition string) (Bounds, error) {
	a.mu.Lock()
	cons := a.cons
	a.mu.Unlock()
	if cons == nil {
		opts := askingOptions()
		opts.Topic = partition
		var err error
		if cons, err = c.asking.Subscribe(opts); err != nil {
			return Bounds{}, err
		}
		a.mu.Lock()
		a.cons = cons
		a.mu.Unlock()
	}
	ids, err := cons.GetLastMessageIDs()
	if err == nil && len(ids) != 1 {
		err = fmt.Errorf("%d ids of last messages", len(ids))
	}
	if err != nil {
		return Bounds{}, err
	}
	id := ids[0]
	switch {
	case id.LedgerID() < 0: // nothing was ever put into it
		return Bounds{Start: Unknown}, nil
	case id.EntryID() < 0: // nothing is in it any more
		empty := Offset{Ledger: id.LedgerID()}
		return Bounds{empty, empty}, nil
	}
	m := pulsarMessage{at: offsetOf(id)}
	return Bounds{Unknown, m.after()}, nil
}

// drop closes a consumer that does not answer, without waiting for it.
func (c *pulsarClient) drop(a *pulsarAsker) {
	a.mu.Lock()
	cons := a.cons
	a.cons = nil
	a.mu.Unlock()
	if cons != nil {
		c.begin(cons.Close)
	}
}

// offsetOf is the offset before a message. One that is alone in its entry has index -1 or 0.
func offsetOf(id pulsar.MessageID) Offset {
	return Offset{id.LedgerID(), id.EntryID(), max(id.BatchIdx(), 0)}
}

// idBefore is the id behind which a reader begins at an offset.
func idBefore(o Offset) pulsar.MessageID {
	switch {
	case o == Offset{}:
		return pulsar.EarliestMessageID()
	case o.Batch > 0:
		return pulsar.NewMessageID(o.Ledger, o.Entry, o.Batch-1, -1)
	}
	return pulsar.NewMessageID(o.Ledger, o.Entry-1, -1, -1)
}

func (c *pulsarClient) read(ctx context.Context, partition string, at Offset, lost func()) (pulsarReader, error) {
	rd, err := await(ctx, c, func() (pulsar.Reader, error) {
		return c.reading.CreateReader(pulsar.ReaderOptions{
			Topic: partition, StartMessageID: idBefore(at), ReceiverQueueSize: pulsarQueue,
			SubscriptionName: "inlong-bridge-" + rand.Text(),
			BackoffPolicyFunc: func() backoff.Policy {
				lost()
				return steady(time.Second)
			},
		})
	}, func(rd pulsar.Reader) { rd.Close() })
	if err != nil {
		return nil, err
	}
	return &openReader{c, rd}, nil
}

type openReader struct {
	c  *pulsarClient
	rd pulsar.Reader
}

func (r *openReader) next(ctx context.Context) (pulsarMessage, error) {
	m, err := r.rd.Next(ctx)
	if err != nil {
		return pulsarMessage{}, err
	}
	return pulsarMessage{offsetOf(m.ID()), m.Payload()}, nil
}

func (r *openReader) close() { r.c.begin(r.rd.Close) }

func (c *pulsarClient) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.reading.Close()
		c.asking.Close()
		c.work.Wait()
	}()
	timer := time.NewTimer(pulsarCloseWait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}
