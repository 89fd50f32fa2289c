package connector

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/letters"
)

// openLetters makes the writer of dead letters, with a client of its own: nothing else of the bridge writes to the source. Where no rule
// wants dead letters, there is neither.
func (b *Bridge) openLetters() error {
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
	return nil
}
