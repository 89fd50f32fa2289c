package sdk_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/finality"
)

const (
	lossLine    = `level=WARN msg="proxy lost packs that it had acked"`
	lossEndLine = `level=INFO msg="what a proxy lost is final, or left with its partition"`
)

// number returns the value of a key of a line of the log, or fails.
func number(t *testing.T, line, key string) int {
	t.Helper()
	m := regexp.MustCompile(`\b` + key + `=(\d+)`).FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("no %s in %q", key, line)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// At INFO nothing told of 105,083 records that were lost in one run.
func TestLossOfAProxyIsOneLineAndItsEndAnother(t *testing.T) {
	for _, mode := range []finality.Mode{finality.Settle, finality.Queue} {
		t.Run(mode.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := new(logLines)
				var e *env
				if mode == finality.Queue {
					e, _ = setupQueue(t, 2, noSlowStart, logged(l))
				} else {
					e = setup(t, 2, config(mode, nil), logged(l))
				}
				synctest.Wait() // both are connected
				e.proxies[0].StallQueue(true)
				st := e.stream("s")
				for range 100 {
					e.batch(st, 7)
					e.sender.Seal()
				}
				settle(2 * time.Second)
				e.log.want(sdk.Lost, 0)
				packs, records := e.proxies[0].Kill()
				if packs < 10 {
					t.Fatalf("%d packs in the memory of the proxy; the story tells nothing", packs)
				}
				settle(2 * time.Minute)
				e.log.want(sdk.Lost, records)
				lines := l.lines(lossLine)
				if len(lines) != 1 || number(t, lines[0], "packs") != packs || number(t, lines[0], "records") != records ||
					!strings.Contains(lines[0], "endpoint=dp1:46801") || !strings.Contains(lines[0], "reason=") {
					t.Errorf("%d packs with %d records were lost, logged %q", packs, records, lines)
				}
				if got := l.lines(lossEndLine); len(got) != 0 {
					t.Errorf("logged %q while the records are open", got)
				}
				e.log.forget() // all of them were read again and are final
				settle(time.Minute)
				ends := l.lines(lossEndLine)
				if len(ends) != 1 || number(t, ends[0], "packs") != packs || number(t, ends[0], "records") != records ||
					number(t, ends[0], "seen_after_all") != 0 || !strings.Contains(ends[0], "endpoint=dp1:46801") || !strings.Contains(ends[0], "after=2m") && !strings.Contains(ends[0], "after=1m50") {
					t.Errorf("at the end logged %q", ends)
				}
				if again := l.lines(lossLine); len(again) != 1 {
					t.Errorf("the loss is logged %d times", len(again))
				}
				e.close(time.Minute)
			})
		})
	}
}

// Packs that were lost and are seen after all end their loss too. Until then a connection was given up for silence.
func TestLossEndsWhenThePacksAreSeenAfterAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := new(logLines)
		e, _ := setupQueue(t, 2, noSlowStart, logged(l))
		synctest.Wait() // both are connected
		e.proxies[0].StallQueue(true)
		e.send(e.stream("s"), 50)
		settle(time.Second)
		e.net.Reset("dp1:46801") // the process lives on
		settle(time.Minute)
		lost := len(e.log.payloads(sdk.Lost))
		if lost == 0 {
			t.Fatal("nothing was lost; the story tells nothing")
		}
		e.proxies[0].StallQueue(false)
		settle(time.Minute)
		e.log.want(sdk.Lost, 0)
		ends := l.lines(lossEndLine)
		if len(ends) != 1 || number(t, ends[0], "seen_after_all") != lost {
			t.Errorf("%d packs were seen after all, logged %q", lost, ends)
		}
		e.close(time.Minute)
	})
}

// A proxy that drops a stream for hours is told of again and again, and less often each time; no pack is left out.
func TestLossesThatGoOnDoNotFloodTheLog(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := new(logLines)
		e, _ := setupQueue(t, 2, noSlowStart, logged(l))
		e.proxies[0].DropStream("g", "s", true)
		for end := time.Now().Add(2 * time.Hour); time.Now().Before(end); settle(500 * time.Millisecond) {
			e.send(e.stream("s"), 1)
		}
		settle(30 * time.Minute)
		e.log.forget()
		settle(10 * time.Minute)
		lost := int(e.streamStatus("s").PacksLost)
		lines, sum := l.lines(lossLine), 0
		for _, line := range lines {
			sum += number(t, line, "packs")
		}
		if lost < 60 || sum != lost {
			t.Errorf("%d packs lost, the lines sum up to %d", lost, sum)
		}
		if len(lines) > 40 {
			t.Errorf("%d lines for the losses of two hours, want few", len(lines))
		}
		t.Logf("%d packs lost, %d lines", lost, len(lines))
		if ends := l.lines(lossEndLine); len(ends) != len(lines) {
			t.Errorf("%d losses were logged, and the end of %d", len(lines), len(ends))
		}
		e.close(time.Minute)
	})
}

// Single messages are handed back: that they are final again is their sender's affair.
func TestLossOfSingleMessagesHasNoEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := new(logLines)
		e := setup(t, 1, config(finality.Settle, nil), logged(l))
		told := e.async(e.stream("s"), "x")
		settle(time.Second)
		e.proxies[0].Kill()
		settle(time.Minute)
		if len(*told) != 1 || (*told)[0].Outcome != sdk.Lost {
			t.Errorf("told %+v, want lost", *told)
		}
		if lines, ends := l.lines(lossLine), l.lines(lossEndLine); len(lines) != 1 || len(ends) != 0 {
			t.Errorf("logged %q and %q, want one loss and no end", lines, ends)
		}
	})
}

// What was lost just before the end is logged at the end.
func TestLossIsLoggedWhenTheSenderCloses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := new(logLines)
		e := setup(t, 1, config(finality.Settle, nil), logged(l))
		e.send(e.stream("s"), 3)
		settle(time.Second)
		e.proxies[0].Kill()
		synctest.Wait()
		e.close(time.Second)
		if lines := l.lines(lossLine); len(lines) != 1 || number(t, lines[0], "packs") != 3 {
			t.Errorf("logged %q, want one line of 3 packs", lines)
		}
	})
}

// A proxy that is away was logged once, and then nobody heard of it for as long as it lasted.
func TestOutageIsLoggedAgainAtGrowingIntervals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := new(logLines)
		e := setup(t, 1, sdk.WithConnections(3), logged(l))
		synctest.Wait()
		e.proxies[0].Kill()
		settle(24 * time.Hour)
		lines := l.lines("level=WARN")
		// 3 connections ended; the outage then, after 1, 3, 7, 15, 31 and 63 minutes, and each hour.
		if ended := len(l.lines("before it answers")); ended != 1 {
			t.Errorf("the end of the connections is logged %d times", ended)
		}
		dials := l.lines(`msg="connecting to proxy fails"`)
		if len(dials) < 25 || len(dials) > 32 || len(lines) > 34 {
			t.Errorf("%d of %d lines in a day, want about 30: %s", len(dials), len(lines), strings.Join(lines, "\n"))
		}
		last := dials[len(dials)-1]
		if number(t, last, "attempts") < 3*24*1800 || !strings.Contains(last, "for=2") || !strings.Contains(last, "connection refused") {
			t.Errorf("the last line is %q, want how often, for how long, and why", last)
		}
		if err := e.proxies[0].Restart(); err != nil {
			t.Fatal(err)
		}
		settle(time.Minute)
		if again := l.lines(`level=INFO msg="connected to proxy again"`); len(again) != 1 || !strings.Contains(again[0], "after=24h0m") {
			t.Errorf("logged %q, want one line with how long it took", again)
		}
		e.close(time.Minute)
	})
}

// A port that is closed and one that ends connections are two states; going to and fro between them is none.
func TestOutageThatChangesItsFaceIsNoFlood(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := new(logLines)
		e := setup(t, 2, logged(l))
		synctest.Wait()
		e.proxies[0].Kill()
		for i := range 200 {
			listener, err := e.net.Listen("tcp", "dp1:46801")
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				for {
					c, err := listener.Accept()
					if err != nil {
						return
					}
					_ = c.Close()
				}
			}()
			settle(5*time.Second + time.Duration(i)*time.Millisecond)
			_ = listener.Close()
			settle(5 * time.Second)
		}
		lines := l.lines("level=WARN")
		if len(lines) < 3 || len(lines) > 12 || len(l.lines("level=INFO")) != 0 {
			t.Errorf("%d lines in half an hour: %s", len(lines), strings.Join(lines, "\n"))
		}
		if got := fmt.Sprint(l.lines(`msg="proxy ends connections before it answers anything"`)); !strings.Contains(got, "endpoint=dp1:46801") {
			t.Errorf("logged %q, want that it ends connections", got)
		}
		e.close(time.Minute)
	})
}
