package pulsar

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

	client "github.com/apache/pulsar-client-go/pulsar"
	"github.com/apache/pulsar-client-go/pulsar/backoff"
	pulsarlog "github.com/apache/pulsar-client-go/pulsar/log"
	"github.com/prometheus/client_golang/prometheus"

	"inlong-bridge/connector/confirm"
)

// closeWait bounds how long closing waits. The client may take until its broker is back; what is left then
// ends by itself.
const closeWait = 5 * time.Second

// abandonAfter is the time after which nobody waits for a question any more that was not answered.
const abandonAfter = 2 * time.Minute

// clientConn implements conn over the client of Pulsar.
//
// When a reader of that client reconnects, it loses the rest of the batch that it holds. So nothing that
// a reader returns once it has begun to reconnect is used; the moment is known because the client asks for a new
// backoff policy then. Calls of the client have no bound, so each runs in its own goroutine, at most one
// per partition and kind of call, and the caller waits only as long as its context.
type clientConn struct {
	reading client.Client
	asking  client.Client // separate connections: an answer does not queue behind messages
	trouble trouble

	mu     sync.Mutex
	askers map[string]*asker // by partition
	closed bool

	work sync.WaitGroup // goroutines that run calls; added to under mu, while not closed
}

// asker asks the broker of one partition for the partition's end.
type asker struct {
	turn  chan struct{} // holds a token while nobody asks
	mu    sync.Mutex
	cons  client.Consumer // nil when there is none
	began time.Time       // when the last question began
}

func dial(cfg Cluster, timeout time.Duration, log *slog.Logger) (conn, error) {
	c := &clientConn{askers: map[string]*asker{}}
	opts := client.ClientOptions{
		URL: cfg.ServiceURL, ConnectionTimeout: timeout,
		OperationTimeout:  timeout * 3 / 4,           // the client's own error comes before the reader's timeout
		KeepAliveInterval: max(timeout, time.Second), // a connection that is silent for twice as long is cut
		TLSConfig:         cfg.TLS,
		Logger:            pulsarLogger(log, &c.trouble),
		MetricsRegisterer: prometheus.NewRegistry(), // the bridge has its own
	}
	if cfg.Token != nil {
		opts.Authentication = client.NewAuthenticationTokenFromSupplier(cfg.Token)
	}
	var err error
	if c.reading, err = client.NewClient(opts); err != nil {
		return nil, err
	}
	opts.MetricsRegisterer = prometheus.NewRegistry()
	if c.asking, err = client.NewClient(opts); err != nil {
		c.reading.Close()
		return nil, err
	}
	return c, nil
}

// trouble keeps the last warning of the client about a connection that it could not make: why a broker refused it, or
// that its certificate is not good. The errors that the client returns do not say.
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

// since returns the warning if it was logged after began, else "".
func (t *trouble) since(began time.Time) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.at.Before(began) {
		return ""
	}
	return t.text
}

// pulsarLogger logs the client's lines at level debug: the reader itself tells an operator what matters.
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

// begin runs f in its own goroutine. After close it does not: closing the clients ends everything.
func (c *clientConn) begin(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.work.Go(f)
	}
	return !c.closed
}

// await runs f in its own goroutine and waits for it, or for ctx. A result that comes too late is given to late.
func await[T any](ctx context.Context, c *clientConn, f func() (T, error), late func(T)) (T, error) {
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
		return none, confirm.ErrClosed
	}
	select {
	case r := <-done:
		return r.v, c.why(r.err, asked)
	case <-ctx.Done():
		var none T
		return none, c.why(context.Cause(ctx), asked)
	}
}

// why adds the warning that the client logged to an error that only says that a call failed.
func (c *clientConn) why(err error, asked time.Time) error {
	if err == nil {
		return nil
	}
	if text := c.trouble.since(asked); text != "" {
		return fmt.Errorf("%w: %s", err, text)
	}
	return err
}

// asker returns the asker of a partition, with its turn taken.
func (c *clientConn) asker(ctx context.Context, partition string) (*asker, error) {
	c.mu.Lock()
	a := c.askers[partition]
	if a == nil {
		a = &asker{turn: make(chan struct{}, 1)}
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
	// A question ends when the broker is back. Closing its consumer would not end the question but leave it unanswered for
	// ever. A question that is unanswered for very long all the same is abandoned.
	a.mu.Lock()
	abandon := time.Since(a.began) > abandonAfter
	a.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if abandon && c.askers[partition] == a {
		delete(c.askers, partition)
	}
	return nil, context.Cause(ctx)
}

func (a *asker) free() { a.turn <- struct{}{} }

func (c *clientConn) partitions(ctx context.Context, topic string) ([]string, error) {
	meta, err := c.asker(ctx, "metadata of "+topic)
	if err != nil {
		return nil, err
	}
	names, err := await(ctx, c, func() ([]string, error) {
		defer meta.free()
		return c.asking.TopicPartitions(topic)
	}, nil)
	if err != nil && strings.Contains(err.Error(), "TopicNotFound") {
		return nil, nil // the topic or its namespace is missing; the broker does not say which
	}
	if err != nil || len(names) != 1 || names[0] != topic {
		return names, err
	}
	// The same answer is given for a topic without partitions and for a topic that does not exist.
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

// exists finds out whether a topic without partitions exists. Subscribing to its name would create it where
// the broker creates topics by itself; a pattern is only compared with the topics of the namespace.
func (c *clientConn) exists(topic string) (bool, error) {
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

func (c *clientConn) topics(ctx context.Context, namespace string) ([]string, error) {
	return await(ctx, c, func() ([]string, error) {
		opts := askingOptions()
		opts.TopicsPattern = "persistent://" + namespace + "/.*"
		opts.AutoDiscoveryPeriod = time.Hour // it is closed at once
		cons, err := c.asking.Subscribe(opts)
		if err != nil {
			return nil, err
		}
		defer cons.Close()
		ids, err := cons.GetLastMessageIDs()
		var names []string
		for _, id := range ids {
			names = append(names, id.Topic())
		}
		return names, err
	}, nil)
}

// askingOptions are the options of a consumer that only asks: it leaves nothing on the broker, and acknowledges none of the
// messages that it is sent.
func askingOptions() client.ConsumerOptions {
	return client.ConsumerOptions{
		SubscriptionName: "inlong-bridge-ends-" + rand.Text(), SubscriptionMode: client.NonDurable,
		Type: client.Shared, ReceiverQueueSize: 1,
		BackOffPolicyFunc: func() backoff.Policy { return steady(200 * time.Millisecond) },
	}
}

func (c *clientConn) last(ctx context.Context, partition string) (confirm.Bounds, error) {
	a, err := c.asker(ctx, partition)
	if err != nil {
		return confirm.Bounds{}, err
	}
	return await(ctx, c, func() (confirm.Bounds, error) {
		defer a.free()
		b, err := c.ask(a, partition)
		if err != nil {
			c.drop(a)
		}
		return b, err
	}, nil)
}

func (c *clientConn) ask(a *asker, partition string) (confirm.Bounds, error) {
	a.mu.Lock()
	cons := a.cons
	a.mu.Unlock()
	if cons == nil {
		opts := askingOptions()
		opts.Topic = partition
		var err error
		if cons, err = c.asking.Subscribe(opts); err != nil {
			return confirm.Bounds{}, err
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
		return confirm.Bounds{}, err
	}
	id := ids[0]
	switch {
	case id.LedgerID() < 0: // nothing was ever put into it
		return confirm.Bounds{Start: confirm.Unknown}, nil
	case id.EntryID() < 0: // nothing is left in it
		empty := confirm.Offset{Ledger: id.LedgerID()}
		return confirm.Bounds{Start: empty, End: empty}, nil
	}
	m := message{at: offsetOf(id)}
	return confirm.Bounds{Start: confirm.Unknown, End: m.after()}, nil
}

// drop closes a consumer that does not answer, without waiting for it.
func (c *clientConn) drop(a *asker) {
	a.mu.Lock()
	cons := a.cons
	a.cons = nil
	a.mu.Unlock()
	if cons != nil {
		c.begin(cons.Close)
	}
}

// offsetOf returns the offset before a message. A message that is alone in its entry has index -1 or 0.
func offsetOf(id client.MessageID) confirm.Offset {
	return confirm.Offset{Ledger: id.LedgerID(), Entry: id.EntryID(), Batch: max(id.BatchIdx(), 0)}
}

// idBefore returns the id that makes a reader begin at an offset: readers begin behind their id.
func idBefore(o confirm.Offset) client.MessageID {
	switch {
	case o == confirm.Offset{}:
		return client.EarliestMessageID()
	case o.Batch > 0:
		return client.NewMessageID(o.Ledger, o.Entry, o.Batch-1, -1)
	}
	return client.NewMessageID(o.Ledger, o.Entry-1, -1, -1)
}

func (c *clientConn) read(ctx context.Context, partition string, at confirm.Offset, lost func()) (partitionReader, error) {
	rd, err := await(ctx, c, func() (client.Reader, error) {
		return c.reading.CreateReader(client.ReaderOptions{
			Topic: partition, StartMessageID: idBefore(at), ReceiverQueueSize: queueSize,
			SubscriptionName: "inlong-bridge-" + rand.Text(),
			BackoffPolicyFunc: func() backoff.Policy {
				lost()
				return steady(time.Second)
			},
		})
	}, func(rd client.Reader) { rd.Close() })
	if err != nil {
		return nil, err
	}
	return &openReader{c, rd}, nil
}

// seek moves the cursor of a reader of its own, which ends with it.
func (c *clientConn) seek(ctx context.Context, partition string, at time.Time) (confirm.Offset, error) {
	return await(ctx, c, func() (none confirm.Offset, _ error) {
		rd, err := c.asking.CreateReader(client.ReaderOptions{
			Topic: partition, StartMessageID: client.EarliestMessageID(), ReceiverQueueSize: 1, SubscriptionName: "inlong-bridge-" + rand.Text(),
			BackoffPolicyFunc: func() backoff.Policy { return steady(200 * time.Millisecond) },
		})
		if err != nil {
			return none, err
		}
		defer rd.Close()
		if err := rd.SeekByTime(at); err != nil {
			return none, err
		}
		for {
			m, err := rd.Next(ctx)
			if err != nil {
				return none, err
			}
			if !m.PublishTime().Before(at) { // else it was on its way before the cursor moved
				return offsetOf(m.ID()), nil
			}
		}
	}, nil)
}

type openReader struct {
	c  *clientConn
	rd client.Reader
}

func (r *openReader) next(ctx context.Context) (message, error) {
	m, err := r.rd.Next(ctx)
	if err != nil {
		return message{}, err
	}
	return message{offsetOf(m.ID()), m.Payload(), m}, nil
}

func (r *openReader) close() { r.c.begin(r.rd.Close) }

func (c *clientConn) close() {
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
	timer := time.NewTimer(closeWait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}
