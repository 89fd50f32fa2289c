package frame_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"runtime"
	"testing"
	"testing/iotest"

	"inlong-bridge/sdk/frame"
)

func framesOfSizes(sizes ...int) (frames [][]byte, stream []byte) {
	for i, size := range sizes {
		b := binary.BigEndian.AppendUint32(nil, uint32(size-4))
		b = append(b, bytes.Repeat([]byte{byte(i + 1)}, size-4)...)
		frames = append(frames, b)
		stream = append(stream, b...)
	}
	return frames, stream
}

func TestReaderCutsFramesHoweverTheBytesArrive(t *testing.T) {
	frames, stream := framesOfSizes(5, 69, 4095, 4096, 5, 4097, 100000, 6, 20000, 5)
	for name, source := range map[string]func() io.Reader{
		"at once":      func() io.Reader { return bytes.NewReader(stream) },
		"byte by byte": func() io.Reader { return iotest.OneByteReader(bytes.NewReader(stream)) },
		"in halves":    func() io.Reader { return iotest.HalfReader(bytes.NewReader(stream)) },
		"end at once":  func() io.Reader { return iotest.DataErrReader(bytes.NewReader(stream)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := frame.NewReader(source(), 100000)
			for i, want := range frames {
				if got, err := r.Next(); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("frame %d: %d bytes, %v, want %d", i, len(got), err, len(want))
				}
			}
			for range 2 {
				if got, err := r.Next(); !errors.Is(err, io.EOF) || got != nil {
					t.Errorf("behind the last frame: %x, %v, want io.EOF", got, err)
				}
			}
		})
	}
}

func TestReaderTellsWhereTheStreamEnded(t *testing.T) {
	frames, stream := framesOfSizes(5, 40)
	for cut := range len(stream) + 1 {
		want := io.ErrUnexpectedEOF
		if cut == 0 || cut == 5 || cut == 45 {
			want = io.EOF
		}
		r := frame.NewReader(bytes.NewReader(stream[:cut]), 100)
		whole := 0
		var err error
		for {
			var got []byte
			if got, err = r.Next(); err != nil {
				break
			}
			if !bytes.Equal(got, frames[whole]) {
				t.Fatalf("cut at %d: frame %d is %x", cut, whole, got)
			}
			whole++
		}
		if !errors.Is(err, want) {
			t.Errorf("cut at %d: %v behind %d frames, want %v", cut, err, whole, want)
		}
	}
}

func TestReaderRefusesImpossibleLengths(t *testing.T) {
	for _, tc := range []struct {
		name   string
		length uint32
		want   error
	}{
		{"zero", 0, frame.ErrLength},
		{"negative", 0x80000000, frame.ErrLength},
		{"all ones", 0xffffffff, frame.ErrLength},
		{"one byte above the limit", 97, frame.ErrTooLarge},
		{"at the limit", 96, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stream := append(binary.BigEndian.AppendUint32(nil, tc.length), make([]byte, 96)...)
			r := frame.NewReader(bytes.NewReader(stream), 100)
			for i := range 2 { // the second call must not read on in the middle of nowhere
				got, err := r.Next()
				switch {
				case tc.want == nil && i == 0 && (err != nil || len(got) != 100):
					t.Errorf("%d bytes, %v, want 100", len(got), err)
				case tc.want != nil && !errors.Is(err, tc.want):
					t.Errorf("call %d: %v, want %v", i, err, tc.want)
				}
			}
		})
	}
}

func TestReaderGoesOnAfterATimeout(t *testing.T) {
	frames, stream := framesOfSizes(50, 60)
	timeout := iotest.ErrReader(os.ErrDeadlineExceeded)
	r := frame.NewReader(&sequence{[]io.Reader{bytes.NewReader(stream[:2]), timeout, bytes.NewReader(stream[2:55]), timeout, bytes.NewReader(stream[55:])}}, 100)
	for i, want := range frames {
		if _, err := r.Next(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("frame %d: %v, want a time-out first", i, err)
		}
		if got, err := r.Next(); err != nil || !bytes.Equal(got, want) {
			t.Errorf("frame %d: %x, %v, want %x", i, got, err, want)
		}
	}
}

// sequence reads from one source after the other, passing on their errors but io.EOF.
type sequence struct{ sources []io.Reader }

func (s *sequence) Read(p []byte) (int, error) {
	for len(s.sources) > 0 {
		n, err := s.sources[0].Read(p)
		if err != nil {
			s.sources = s.sources[1:]
			if errors.Is(err, io.EOF) && n == 0 {
				continue
			}
		}
		return n, err
	}
	return 0, io.EOF
}

type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, nil }

func TestReaderGivesUpOnASilentSource(t *testing.T) {
	if _, err := frame.NewReader(silent{}, 100).Next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("Next = %v, want %v", err, io.ErrNoProgress)
	}
}

func TestReaderAllocatesForWhatArrivedNotForWhatIsAnnounced(t *testing.T) {
	stream := append([]byte{0x10, 0, 0, 0}, make([]byte, 10000)...) // announces 256 MiB
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := frame.NewReader(bytes.NewReader(stream), 1<<30).Next()
	runtime.ReadMemStats(&after)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Next = %v, want %v", err, io.ErrUnexpectedEOF)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("%d bytes allocated for %d that arrived", got, len(stream))
	}
}
