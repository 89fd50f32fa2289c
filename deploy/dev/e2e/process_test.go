package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// outDir keeps the logs of tests that failed.
const outDir = "out"

// The program is built once, by the first test that needs it.
var bridgeBinary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "inlong-bridge")
	build := exec.Command("go", "build", "-o", path, "inlong-bridge/cmd/inlong-bridge")
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building inlong-bridge: %w\n%s", err, text)
	}
	return path, nil
})

// scratch lives as long as the test run.
var scratch string

func TestMain(m *testing.M) {
	code := func() int {
		var err error
		if scratch, err = os.MkdirTemp("", "inlong-bridge-e2e-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(scratch)
		return m.Run()
	}()
	os.Exit(code)
}

// bench is the place where a test runs its processes: a directory for their files, which stays when the
// test fails.
type bench struct {
	*testing.T
	dir string
}

// newBench skips the test where processes are not wanted.
func newBench(t *testing.T) *bench {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: starts processes and kills them, which takes longer than -short allows")
	}
	dir, err := filepath.Abs(filepath.Join(outDir, strings.ReplaceAll(t.Name(), "/", "_")))
	if err == nil {
		err = os.RemoveAll(dir)
	}
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		dir = t.TempDir() // the source is read-only here: the logs go with the test
	}
	t.Cleanup(func() {
		if !t.Failed() {
			_ = os.RemoveAll(dir)
			_ = os.Remove(outDir) // if nothing else is in it
			return
		}
		t.Logf("files of this test: %s", dir)
	})
	return &bench{T: t, dir: dir}
}

// on is the bench for a subtest.
func (b *bench) on(t *testing.T) *bench { return &bench{T: t, dir: b.dir} }

// path names a file of the test.
func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

// write puts a file there.
func (b *bench) write(name, text string) string {
	b.Helper()
	if err := os.WriteFile(b.path(name), []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	return b.path(name)
}

// process is one process. Its output is appended to a log that all processes of that name share.
type process struct {
	b    *bench
	name string
	cmd  *exec.Cmd
	log  *os.File
	from int64 // where this process's output begins in the log
	// killAll kills what the process has started too, where that is wanted.
	killAll func()

	done chan struct{} // closed when it has ended; code is valid then
	code int           // -1 after a signal
}

// program starts inlong-bridge with args.
func (b *bench) program(name string, args ...string) *process {
	b.Helper()
	path, err := bridgeBinary()
	if err != nil {
		b.Fatal(err)
	}
	return b.start(name, command(path, args...))
}

// command is a command that no context ends: what a test starts is killed by its cleanup, in order.
func command(name string, args ...string) *exec.Cmd {
	return exec.CommandContext(context.Background(), name, args...)
}

// start runs cmd until the test ends at the latest.
func (b *bench) start(name string, cmd *exec.Cmd) *process {
	b.Helper()
	log, err := os.OpenFile(b.path(name+".log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		b.Fatal(err)
	}
	p := &process{b: b, name: name, cmd: cmd, log: log, done: make(chan struct{})}
	if info, err := log.Stat(); err == nil {
		p.from = info.Size()
	}
	cmd.Dir, cmd.Stdout, cmd.Stderr = b.dir, log, log
	if err := cmd.Start(); err != nil {
		log.Close()
		b.Fatalf("starting %s: %v", name, err)
	}
	go func() {
		defer close(p.done)
		err := cmd.Wait()
		var exit *exec.ExitError
		if p.code = cmd.ProcessState.ExitCode(); err != nil && !errors.As(err, &exit) {
			p.code = -2
		}
	}()
	b.Cleanup(func() {
		p.kill()
		log.Close()
	})
	return p
}

// kill is kill -9; it returns when the process is gone.
func (p *process) kill() {
	if p.killAll != nil {
		p.killAll()
	}
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

func (p *process) signal(sig syscall.Signal) {
	p.b.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.b.Fatalf("sending %v to %s: %v", sig, p.name, err)
	}
}

// ended reports whether the process has ended.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// wait returns the exit code, -1 for a signal.
func (p *process) wait(limit time.Duration) int {
	p.b.Helper()
	select {
	case <-p.done:
		return p.code
	case <-time.After(limit):
		p.b.Fatalf("%s has not ended after %v; its log ends with\n%s", p.name, limit, p.tail())
		return 0
	}
}

// output is what this process has written so far.
func (p *process) output() string {
	text, err := os.ReadFile(p.log.Name())
	if err != nil || int64(len(text)) < p.from {
		return ""
	}
	return string(text[p.from:])
}

// tail is the end of the output.
func (p *process) tail() string {
	const most = 4000
	text := p.output()
	return text[max(0, len(text)-most):]
}

// eventually asks until ok has no objection.
func (b *bench) eventually(limit time.Duration, ok func() error) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), limit)
	defer cancel()
	for {
		err := ok()
		if err == nil {
			return
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			b.Fatalf("after %v: %v", limit, err)
		}
	}
}

// pause lets the processes work for d.
func (b *bench) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-b.Context().Done():
	}
}

// givenAddrs are those that freeAddr has returned: between that and the start of a broker, seconds pass.
var givenAddrs sync.Map

// freeAddr returns an address at which nothing listens. Its port is below those that the system hands out
// to connections, so that a process that is killed and started again finds it free.
func (b *bench) freeAddr() string {
	b.Helper()
	var lc net.ListenConfig
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		l, err := lc.Listen(b.Context(), "tcp", addr)
		if err != nil {
			continue
		}
		l.Close()
		if _, given := givenAddrs.LoadOrStore(addr, true); given {
			continue
		}
		return addr
	}
	b.Fatal("no free port between 20000 and 32000")
	return ""
}
