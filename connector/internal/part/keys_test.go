package part

import (
	"errors"
	"fmt"
	"testing"

	"inlong-bridge/sdk"
)

func TestErrorsOfTheSenderSpeakOfTheBridgesKeys(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&sdk.TooLargeError{Size: 9, Limit: 8}, "record of 9 bytes is longer than 8, the most that fits into a frame (see inlong.max_frame)"},
		{fmt.Errorf("stream g.s: %w", sdk.ErrTooManyStreams), "stream g.s: the streams take too much of the byte budget; forget idle ones with ForgetStream, or raise memory.budget"},
		{errors.New("nothing of the sender"), "nothing of the sender"},
	} {
		if got := InKeys(c.err); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
