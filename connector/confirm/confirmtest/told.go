package confirmtest

import (
	"context"
	"sync"
	"time"
)

// slowSink takes its time over the first packs that it is told of.
type slowSink struct {
	*Sink
	first sync.Once
	slow  func()
}

func (s *slowSink) Seen(seqs []uint64) {
	s.first.Do(s.slow)
	s.Sink.Seen(seqs)
}

// 1. the reader has a pack and is about to say so  2. a barrier is asked for, which covers the pack  3. it must
// not pass before the sink has taken the news: the overdue packs that it has not seen would be called lost.
func told(b *bench) {
	b.open(1, Patience)
	b.broker[0].Create(b.T, 1)
	b.watch()
	b.put(0, 0, Packs(0, 1)...)
	b.runInto(&slowSink{Sink: b.sink, slow: func() {
		// A barrier that is held by the news cannot pass while this runs, however long that is.
		ctx, cancel := context.WithTimeout(b.Context(), 300*time.Millisecond)
		defer cancel()
		if err := b.reader.Barrier(ctx); err == nil {
			b.Error("a barrier passed before the sink was told of the pack that lay in the queue")
		}
	}})
	b.barrier()
	b.wantSeen(0, 1)
}
