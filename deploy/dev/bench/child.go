package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// child is a process of the bench: this program, or the one of another commit, with another command. It lives until its stdin ends.
type child struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string // of stdout; closed at its end
	first string      // line that said it is ready; of a bridge, its admin address
	also  func()      // what ends with it, nil for nothing
}

// readyTimeout is how long a process may take to be ready: a broker fills its topic before.
const readyTimeout = 3 * time.Minute

// start runs this program with args, and waits for its first line if ready.
func start(ctx context.Context, name string, ready bool, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	return startProgram(ctx, self, name, ready, args...)
}

func startProgram(ctx context.Context, program, name string, ready bool, args ...string) (c *child, err error) {
	c = &child{name: name, cmd: exec.CommandContext(ctx, program, args...), lines: make(chan string, 64)}
	c.cmd.Stderr = os.Stderr
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		defer close(c.lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			c.lines <- in.Text()
		}
	}()
	if ready {
		if c.first, err = c.line(readyTimeout); err != nil {
			return nil, errors.Join(err, c.end())
		}
	}
	return c, nil
}

// line returns the next line it says.
func (c *child) line(limit time.Duration) (string, error) {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case l, ok := <-c.lines:
		if !ok {
			return "", fmt.Errorf("%s ended early; what it says stands above", c.name)
		}
		return l, nil
	case <-t.C:
		return "", fmt.Errorf("%s says nothing for %v", c.name, limit)
	}
}

// end lets the process end and returns what went wrong in it.
func (c *child) end() error {
	if c.also != nil {
		c.also()
	}
	c.stdin.Close()                                                       //nolint:errcheck // it ends the process, whose exit is what counts
	timer := time.AfterFunc(time.Minute, func() { c.cmd.Process.Kill() }) //nolint:errcheck // Wait tells
	defer timer.Stop()
	for range c.lines { // until its stdout ends: Wait must not come before
	}
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("ending %s: %w", c.name, err)
	}
	return nil
}

// mark reads a line that says how many records were counted, and when.
func (c *child) mark(limit time.Duration) (records, at int64, err error) {
	text, err := c.line(limit)
	if err != nil {
		return 0, 0, err
	}
	if _, err := fmt.Sscanf(text, "mark %d %d", &records, &at); err != nil {
		return 0, 0, fmt.Errorf("reading mark %q of %s: %w", text, c.name, err)
	}
	return records, at, nil
}

// count asks a sink how many records it has counted, and when.
func (c *child) count() (records, at int64, err error) {
	if _, err := io.WriteString(c.stdin, "count\n"); err != nil {
		return 0, 0, fmt.Errorf("asking %s: %w", c.name, err)
	}
	return c.mark(time.Minute)
}

// untilEnd is a context that ends with stdin, as the processes of the bench do.
func untilEnd(ctx context.Context, stdin io.Reader) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		io.Copy(io.Discard, stdin) //nolint:errcheck // its end is what counts
	}()
	return ctx, cancel
}

// kill ends the process at once.
func (c *child) kill() {
	c.cmd.Process.Kill() //nolint:errcheck // it has ended already then
	c.end()              //nolint:errcheck // it was killed
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// clockTick is the unit of times in /proc/<pid>/stat: USER_HZ, which is 100 on Linux everywhere.
const clockTick = 10 * time.Millisecond

// cpuOf is the user and system time of a process so far.
func cpuOf(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("reading CPU time (needs Linux): %w", err)
	}
	// The second field is the program's name in parentheses and may hold anything.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("reading CPU time: %d fields after the name", len(fields))
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick, errors.Join(err1, err2)
}

// memoryOf returns a field of /proc/<pid>/status in bytes: VmHWM is the peak, VmRSS what is resident now.
func memoryOf(pid int, field string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("reading memory (needs Linux): %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if kib, ok := strings.CutPrefix(line, field+":"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(kib), " kB"), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("reading memory: no %s", field)
}
