package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// live shows progress: on a terminal in one line that it overwrites, elsewhere in a new line every two seconds. It is
// safe for concurrent use.
type live struct {
	w        io.Writer
	terminal bool
	width    int

	mu    sync.Mutex
	shown bool // the terminal's line is not empty
	last  time.Time
}

const liveEvery = 2 * time.Second

func newLive(w io.Writer) *live {
	l := &live{w: w, width: 80}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		l.terminal = true
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			l.width = width
		}
	}
	return l
}

// update shows line if it is time to. done is from 0 to 1; a terminal also shows it as a bar.
func (l *live) update(now time.Time, done float64, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.terminal {
		const cells = 24
		full := int(max(0, min(1, done)) * cells)
		text := fmt.Sprintf("[%s%s] %s", strings.Repeat("#", full), strings.Repeat(".", cells-full), line)
		if len(text) >= l.width {
			text = strings.ToValidUTF8(text[:l.width-1], "")
		}
		printf(l.w, "\r\x1b[K%s", text)
		l.shown = true
		return
	}
	if now.Sub(l.last) >= liveEvery {
		l.last = now
		printf(l.w, "%3.0f%%  %s\n", 100*max(0, min(1, done)), line)
	}
}

// say prints a line that stays.
func (l *live) say(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wipe()
	printf(l.w, format+"\n", args...)
}

// clear removes the line that update overwrites.
func (l *live) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wipe()
}

func (l *live) wipe() {
	if l.shown {
		printf(l.w, "\r\x1b[K")
		l.shown = false
	}
}
