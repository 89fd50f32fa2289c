package model

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"inlong-bridge/sdk/finality"
)

// tick is the step of simulated time.
const tick = 100 * time.Millisecond

// event is something that a set of schedules must have seen.
type event uint8

const (
	commitAnswerLost event = iota
	commitRefused
	commitFenced
	commitOfOldTopic
	recordsCompacted
	recordsRetained
	logTruncated
	topicRecreated
	partitionAdded
	leaderElected
	memberCrashed
	memberStopped
	memberJoined
	memberLeft
	memberLost
	partitionRevoked
	startRefused
	startCommitted
	startPassedOver
	startRestated
	gapAccepted
	gapStopped
	truncationStopped
	recreationStopped
	noStartStopped
	stoppedPending
	lostAgainRead
	lostAgainGone
	senderFull
	replayFailed
	proxyKilled
	proxyReset
	proxyFrozen
	proxyLapsed
	proxyZombie
	proxyDrops
	proxySlow
	packDoubled
	packRefused
	packRefusedForGood
	streamRefused
	packClosedConnection
	packHalfSent
	listChanged
	queueStalled
	queueGrew
	queueOvertook
	queueTruncated
	queueRecreated
	queueMissing
	queueDamaged
	queueRewound
	queueReaderSlow
	queueUnreadable
	barrierAskedAgain
	streamForgotten
	clusterCame
	clusterWent
	packLost
	packSeenAfterLoss
	packHeld
	packReleased
	packGivenUp
	packNotTaken
	packIsolated
	packStoredUnanswered
	packSeenAfterCut
	packCut
	packCutRefused
	packBackInOrder
	pieceHalved
	takenBackSeen
	recordGivenUp
	answerUnknown
	connUnproven
	proxyThrottled
	proxyRecovered
	streamRecovered
	streamStruck
	events
)

var eventNames = [events]string{
	"a commit was applied and its answer lost", "a commit was refused", "a late commit was fenced", "a commit of a deleted topic was refused",
	"compaction took records", "retention took records", "an unclean election cut a log", "the topic was created again", "a partition was added",
	"a leader was elected", "a member crashed", "a member stood still", "a rival joined", "a rival left", "a membership was lost", "a partition was revoked",
	"a start refused a commit of a deleted topic", "a start was committed before the first fetch", "a start passed over records", "a start was committed again with its line",
	"a gap was accepted", "a gap stopped a partition", "a truncation stopped a partition", "a new topic stopped a partition", "a partition stopped because nothing said where it begins",
	"a partition stopped with records that wait for room", "a lost piece was read again", "a lost piece was gone from the source", "the sender had no room", "reading again failed",
	"a proxy was killed", "a proxy's connections were reset", "a proxy froze", "a proxy stood still for less than patience", "a proxy was a zombie", "a proxy dropped a stream's packs",
	"a proxy kept all in memory", "a proxy stored a pack twice", "a proxy refused a pack for now", "proxies refused a pack permanently", "a proxy refused a stream",
	"a proxy closed a connection at a pack", "a connection ended with half a pack sent", "the list of proxies changed",
	"a queue cluster stalled", "a partition of the queue appeared", "the queue's retention overtook the reader", "a log of the queue was cut", "a topic of the queue was created again",
	"a topic of the queue was missing", "an entry of the queue was damaged", "the queue's client found a cut", "the queue's reader was slow", "a damaged entry was not passed over", "a barrier asked again", "a stream was forgotten", "a queue cluster came", "a queue cluster went",
	"a pack was lost", "a lost pack was seen after all",
	"a pack was held", "a held pack was released", "a pack was given up", "a pack was seen before it was written again", "a pack travelled alone", "a proxy stored a pack and closed the connection", "a pack was seen that had been cut", "a pack was cut", "a refused pack was cut", "a pack was taken back because of its order", "a piece was halved", "a pack was seen that had been taken back", "a refused record was given up alone",
	"an answer came to no pack", "a connection had to prove itself", "a proxy was throttled", "a throttled proxy recovered", "a stream's breaker closed", "one proxy alone refused a pack permanently",
}

// knobs are what a schedule chooses once.
type knobs struct {
	topicPerRoute      bool
	startLatest        bool // kafka.start: latest
	startCommitted     bool // kafka.start: committed
	acceptGap          bool // delivery.on_gap: continue
	brokersCheckIDs    bool // of commits
	brokersDropOffsets bool // when a topic is deleted
	keepRefused        bool // refused packs are kept
	cutRefused         bool // on_error: a refused record does not stop its partition at once
	conns              int  // per proxy and member
	room               int  // packs that a sender takes before some are sent
	lanes              int  // delivery.order: in which a partition's records keep their order, 0 for none
}

// world is everything outside the bridges.
type world struct {
	r      *rand.Rand
	mode   finality.Mode
	knobs  knobs
	now    int // ticks
	routes int
	minute int32

	src         kafka
	facts       []fact
	commitsFail bool
	answersLost bool      // of commits
	members     []*member // that run

	proxies  []*proxy
	badCode  int // 0: they close connections
	badAt    func(p *proxy) bool
	badShare int // one record of so many

	clusters    []*cluster
	named       int // clusters
	topicIDs    int
	damages     int // entries that are going to be damaged
	readersSlow bool

	fed       int // events that engines got
	finals    int // packs
	events    int // of all kinds
	instances int // bridge processes so far
	allowed   int // duplicates that the faults so far explain
	seen      [events]int

	log []string // of this schedule, for a failure's report
}

func (w *world) time() time.Duration { return time.Duration(w.now) * tick }

func (w *world) happened(e event) { w.seen[e]++ }

func (w *world) logf(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%6.1fs ", w.time().Seconds())+fmt.Sprintf(format, args...))
}

// step lets the world work for one tick.
func (w *world) step() {
	w.now++
	time.Sleep(tick) // of the bubble: what the product takes for the time of day moves with the world
	w.serveProxies()
	w.serveCommits(nil)
}

// isBad reports whether a pack holds a record that proxies cannot stand for now.
func (w *world) isBad(p *proxy, of *sent) bool {
	return w.badAt != nil && w.badAt(p) && slices.ContainsFunc(of.records, func(id int) bool { return id%w.badShare == 0 })
}

func (w *world) refuses(p *proxy, of *sent) bool { return w.badCode > 0 && w.isBad(p, of) }
func (w *world) chokes(p *proxy, of *sent) bool  { return w.badCode <= 0 && w.isBad(p, of) }

// charge allows a copy of a pack to be sent again. A copy is charged once, however many faults touch it: each fault
// sends it again or not, and what is sent again is another copy.
func (w *world) charge(of *sent) {
	if !of.charged && !of.ended {
		of.charged = true
		w.allowed += len(of.records)
	}
}

// chargeInFlight charges what may be sent twice when a connection ends: what is in flight on it and was stored already.
// In settle all that has not settled is sent again.
func (w *world) chargeInFlight(c *conn) {
	for _, of := range c.s.copies {
		if of.conn != c || w.mode == finality.Queue && (of.heard || !c.proxy.stored[of.packName]) {
			continue
		}
		w.charge(of)
	}
}

// chargeAll charges what a proxy that misbehaves may cause to be sent twice.
func (w *world) chargeAll(p *proxy) {
	for _, m := range w.members {
		for _, of := range m.snd.copies {
			if of.conn.proxy == p {
				w.charge(of)
			}
		}
	}
}

// chargeOrphans charges what a proxy acked on connections that have ended, also those whose end the bridge has
// not noticed yet.
func (w *world) chargeOrphans(p *proxy) {
	for _, m := range w.members {
		for _, of := range m.snd.copies {
			if of.heard && of.conn.proxy == p && (of.conn.endedAt > 0 || of.conn.left) {
				w.charge(of)
			}
		}
	}
}
