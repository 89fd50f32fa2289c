package connector

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/letters"
)

// openLetters makes the writer of dead letters, with a client of its own: nothing else of the bridge writes to the source. Where no rule
// wants dead letters, there is neither.
func (b *Bridge) openLetters(ctx context.Context) error {
	if !b.sources.DeadLetters() {
		return nil
	}
	opts, err := b.clientOpts()
	if err != nil {
		return err
	}
	if b.letterClient, err = kgo.NewClient(append(opts, letters.Options()...)...); err != nil {
		return fmt.Errorf("creating kafka client for dead letters: %w", err)
	}
	b.letters = letters.New(b.cfg.DeadLetter.Topic, b.instance, b.letterClient)
	b.lookForLetterTopic(ctx)
	return nil
}

// lookForLetterTopic says at the start that the topic of the dead letters is missing. Nothing needs it before the first letter, which then stops its
// partition.
func (b *Bridge) lookForLetterTopic(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	topic := b.cfg.DeadLetter.Topic
	details, err := b.admin.ListTopics(ctx, topic)
	if err != nil {
		return // the start goes on to ask, and says so
	}
	if errors.Is(details[topic].Err, kerr.UnknownTopicOrPartition) {
		b.log.Warn("the topic of the dead letters does not exist, or may not be described; the first dead letter of a partition will stop it", "topic", topic,
			"hint", "create it, or correct dead_letter.topic; docs/dead-letters.md says how it must be set up")
	}
}
