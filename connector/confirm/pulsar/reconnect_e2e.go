//go:build e2e

package pulsar

import (
	"context"

	"inlong-bridge/connector/confirm"
)

// NewResumingAfterReconnect makes a reader that, like the client's own readers, resumes after a reconnect where the client
// resumes, instead of opening another reader. It misses messages: it is for the test that shows this.
func NewResumingAfterReconnect(cfg Config) (*Reader, error) {
	return newReader(cfg, func(c Cluster) (conn, error) {
		opened, err := dial(c, cfg.Timeout, cfg.Log)
		return resumingConn{opened}, err
	})
}

type resumingConn struct{ conn }

func (c resumingConn) read(ctx context.Context, partition string, at confirm.Offset, _ func()) (partitionReader, error) {
	return c.conn.read(ctx, partition, at, func() {})
}
