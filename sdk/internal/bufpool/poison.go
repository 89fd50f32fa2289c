//go:build poison

package bufpool

// poison overwrites what was given back, so that whoever still reads it is found out.
func poison(b []byte) {
	for i := range b {
		b[i] = 0xDB
	}
}
