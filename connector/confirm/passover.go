package confirm

import (
	"fmt"
	"sync"
)

// A batch of the queue may be damaged, or unfold to more bytes than there is memory for. Waiting for it would stop the
// reading of its partition for ever. So the reader passes over it: the packs in it count as unseen, and those of this
// instance are sent again. Sending again does not help in two cases: many such batches in a row, and another such batch
// while packs that were sent again have not been seen, which may lie in it. Then the cluster counts as unreadable, and
// nothing in it is given up.

// MaxPassOvers is the number of batches in a row of one partition that are passed over.
const MaxPassOvers = 10

// PassOvers counts the batches that were passed over in a row, by partition. The zero value is ready. It is safe for
// concurrent use.
type PassOvers struct {
	mu  sync.Mutex
	row map[Place]int // guarded by mu
	any bool          // guarded by mu; something was passed over
}

// Read notes that something of a partition was read: its row ends.
func (p *PassOvers) Read(at Place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.row, at)
}

// Next counts one more batch that is passed over, or returns what speaks against passing over it. repairsUnseen is the
// number of packs that were sent again and have not been seen.
func (p *PassOvers) Next(at Place, repairsUnseen int) (against string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.row[at] >= MaxPassOvers:
		return fmt.Sprintf("the %d batches before it could not be read either", MaxPassOvers)
	case p.any && repairsUnseen > 0:
		return fmt.Sprintf("%d packs that were sent again have not been seen and may lie in it", repairsUnseen)
	}
	if p.row == nil {
		p.row = make(map[Place]int)
	}
	p.row[at]++
	p.any = true
	return ""
}
