package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"inlong-bridge/sdk"
)

// send sends each line of in over a proxy with package sdk, and says what became of them. Everything is as it is without
// options.
func send(addr string, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	s, err := sdk.New(ctx, sdk.WithProxies(addr), sdk.WithLogger(log))
	if err != nil {
		return err
	}
	stream, err := s.Stream("shop", "orders")
	if err != nil {
		return err
	}
	told := make(map[sdk.Outcome]int) // by callbacks, which come one at a time
	count := func(r sdk.Result) { told[r.Outcome]++ }
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if err := s.SendAsync(ctx, sdk.Message{Stream: stream, Payload: lines.Bytes()}, count); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	err = s.Close(ctx)
	if _, werr := fmt.Fprintf(out, "final %d, refused %d, lost %d, left %d\n", told[sdk.Final], told[sdk.Refused], told[sdk.Lost], told[0]); err == nil {
		err = werr
	}
	return err
}
