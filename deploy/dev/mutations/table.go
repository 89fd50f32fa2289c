package main

// Tests that catch. The model test plays schedules of faults; the others pin one rule each.
const (
	model      = "./connector/model"
	finality   = "./sdk/finality"
	checkpoint = "./connector/checkpoint"
	engine     = "./sdk/engine"
	sender     = "./sdk"
	connector  = "./connector"
	absence    = "./connector/internal/absence"
	gate       = "./connector/internal/gate"
	observe    = "./connector/internal/observe"
	bench      = "./deploy/dev/bench"
	route      = "./connector/internal/route"
	brokers    = "./connector/internal/source"
	assigned   = "./connector/internal/assign"
	committing = "./connector/internal/commit"
	consume    = "./connector/internal/consume"
	lineage    = "./connector/lineage"
	letters    = "./connector/internal/letters"
	forwards   = "./connector/forwarded"
)

// mutations is the list of breaks. Safety rests on few of them (a piece counted too early); the others
// cost duplicates or liveness, which the oracle bounds too.
var mutations = []mutation{
	// Checkpoint.
	{
		name: "replacement does not keep the lost piece's place", file: "connector/checkpoint/piece.go",
		old: "	if x.children > 0 {\n		return false\n	}\n	p.resolve(i)",
		new: "	p.resolve(i)",
		pkg: model,
	},
	{
		name: "checkpoint by `offset + 1`", file: "connector/checkpoint/piece.go",
		old: "		p.resolve(i)\n		return p.advance()\n	}\n	return false",
		new: "		p.resolve(i)\n		p.advance()\n		p.checkpoint = max(p.checkpoint, x.origin.Last+1)\n		return true\n	}\n	return false",
		pkg: model,
	},
	{
		name: "revoked flag dropped", file: "connector/checkpoint/commit.go",
		old: "if p.revoked || p.inCommit ||", new: "if p.inCommit ||",
		pkg: model + " " + checkpoint,
	},
	{
		name: "flag and mark under different locks", file: "connector/checkpoint/commit.go",
		old: "	p.mu.Lock()\n	defer p.mu.Unlock()\n	if p.revoked || p.inCommit ||",
		// What stands between the two makes the window wide enough to be hit on any machine.
		new: "	revoked := p.Revoked()\n	for range 2000 {\n		p.Position()\n	}\n	p.mu.Lock()\n	defer p.mu.Unlock()\n	if revoked || p.inCommit ||",
		pkg: checkpoint,
	},
	{
		name: "late ack from an older assignment counted", file: "connector/checkpoint/slab.go",
		old: "return i, s.at(i).handle == h", new: "return i, s.at(i).handle != 0",
		pkg: model + " " + checkpoint,
	},
	{
		name: "commit before final", file: "connector/checkpoint/partition.go",
		old: "if !s.ended || s.open > 0 {", new: "if !s.ended {",
		pkg: model,
	},
	{
		name: "commit rewinds", file: "connector/checkpoint/commit.go",
		old: "p.checkpoint > max(p.committed, p.start)", new: "p.checkpoint != p.committed",
		pkg: model + " " + checkpoint,
	},
	{
		name: "a lost piece's whole range sent again instead of its own records", file: "connector/checkpoint/piece.go",
		old: "return offset >= o.First && offset <= o.Last && route == o.Route && minute == o.Minute",
		new: "return offset >= o.First && offset <= o.Last",
		pkg: model,
	},
	// settle.
	{
		name: "`settle` by wall time", file: "sdk/finality/lifeclock.go",
		old: "		c.life += now - c.lastAt\n	}", new: "	}\n	c.life = now",
		pkg: finality,
	},
	{
		name: "`settle` across a stopped process", file: "sdk/finality/lifeclock.go",
		old: "if good && c.lastTimely && now-c.lastAt <= gap {", new: "if good && c.lastTimely {",
		pkg: finality,
	},
	{
		name: "`settle` on a late answer", file: "sdk/finality/lifeclock.go",
		old: "good := timely && healthy && !c.full", new: "good := healthy && !c.full",
		pkg: finality,
	},
	{
		name: "`settle` on heartbeats of a zombie", file: "sdk/finality/lifeclock.go",
		old: "healthy := oldest == nil || now-oldest.sentAt <= m.cfg.Timely", new: "healthy := oldest == nil || true",
		pkg: finality,
	},
	{
		name: "a 114 that does not stop the clock", file: "sdk/finality/pack.go",
		old: "		c.clock.full = true\n", new: "",
		pkg: finality,
	},
	{
		name: "a full proxy without data keeps its packs for ever", file: "sdk/finality/connection.go",
		old: "		m.giveUpFull(c, now)\n", new: "",
		pkg: model + " " + finality,
	},
	// queue.
	{
		name: "loss declared without a barrier", file: "sdk/finality/queue.go",
		old: "if o.overdue && o.since <= begun {", new: "if o.overdue {",
		pkg: model + " " + finality,
	},
	{
		name: "loss declared the moment a connection closes", file: "sdk/finality/queue.go",
		old: "return clock-max(o.endedAt, o.heardAt) >= cfg.LossGrace", new: "return true",
		pkg: model + " " + finality,
	},
	{
		name: "a silent proxy given no more than `loss_grace`", file: "sdk/finality/queue.go",
		old: "	if o.silent {\n		return", new: "	if false {\n		return",
		pkg: model + " " + finality,
	},
	{
		name: "loss declared while the queue does not answer", file: "sdk/finality/queue.go",
		old: "	if m.queue.answers {\n		m.queue.clock +=", new: "	if true {\n		m.queue.clock +=",
		pkg: model + " " + finality,
	},
	{
		name: "barrier over one cluster of two", file: "connector/confirm/barrier.go",
		old: "return slices.DeleteFunc(all, func(c string) bool { return p.coming[c] })", new: "return all[:1]",
		pkg: model,
	},
	{
		name: "barrier from cached metadata", file: "connector/confirm/barrier.go",
		old: "		if l.Fresh < since {\n			return nil, nil, fmt.Errorf(\"beginning", new: "		if false {\n			return nil, nil, fmt.Errorf(\"beginning",
		pkg: "./connector/confirm", run: "TestNoBarrierWithoutFreshAnswersOfAllClusters",
	},
	{
		name: "reader at the end of a partition that appeared later", file: "connector/confirm/positions.go",
		old: "t.begin(p, at, later(b.Start, Offset{}), b.End, why)", new: "t.begin(p, at, b.End, b.End, why)",
		pkg: model,
	},
	{
		name: "barrier over a partition that nobody reads", file: "connector/confirm/barrier.go",
		old: "if _, ok := t.parts[n]; !ok {", new: "if false {",
		pkg: "./connector/confirm", run: "TestNoBarrierOverAPartition",
	},
	{
		name: "a barrier waits for what a log that was cut off no longer has", file: "connector/confirm/barrier.go",
		old: "if t.there && x.end.Before(g.end) {", new: "if false {",
		pkg: "./connector/confirm", run: "TestBarrierOverALogThatWasCutOff",
	},
	{
		name: "a cluster that joins is asked by barriers before anything is watched in it", file: "connector/confirm/roster.go",
		old: "if len(left) > 0 {", new: "if false {",
		pkg: "./connector/confirm/kafka", run: "TestContractOfKafka/ClusterThatJoins",
	},
	{
		name: "a barrier that was under way takes no notice of a cluster that joins", file: "connector/confirm/barrier.go",
		old: "if b.joins != p.joins {", new: "if false {",
		pkg: "./connector/confirm/kafka", run: "TestBarrierUnderWayTakesIn",
	},
	{
		name: "a cluster that joins is read from an end listed later than the time was asked for", file: "connector/confirm/kafka/list.go",
		old: "times = append(times, also)", new: "times = []int64{also, latest}",
		pkg: "./connector/confirm/kafka", run: "TestClusterThatJoinsIsReadFromAnEnd",
	},
	{
		name: "a Pulsar reader goes on after it has reconnected", file: "connector/confirm/pulsar/cluster.go",
		old: "func() { stop(errReconnects) }", new: "func() {}",
		pkg: "./connector/confirm/pulsar", run: "TestReaderOfPulsarIsOpened",
	},
	{
		name: "`mid` forgotten at loss", file: "sdk/finality/queue.go",
		old: "	p := m.packs[id]\n	if p == nil {\n		return // final", new: "	p := m.packs[id]\n	if p == nil || p.state == lost {\n		return // final",
		pkg: finality,
	},
	{
		name: "foreign `mid` accepted", file: "connector/confirm/whose.go",
		old: "if !ok || string(who) != instance {", new: "if _ = who; !ok {",
		pkg: model,
	},
	{
		name: "window not released at the end of a connection", file: "sdk/finality/connection.go",
		old: "	w := c.window\n", new: "	w := c.window\n	for _, o := range m.queue.orphans {\n		w.add(o.packs.Len(), o.packs.bytes)\n	}\n",
		pkg: finality,
	},
	{
		name: "one stream filling a window", file: "sdk/finality/connection.go",
		old: "if m.several() && st != nil {", new: "if false && st != nil {",
		pkg: finality,
	},
	{
		name: "zombie rule with a single proxy", file: "sdk/finality/queue.go",
		old: "|| !m.othersSeenAfter(ep, c.acked.Front().order)", new: "",
		pkg: finality,
	},
	{
		name: "no probe", file: "sdk/finality/queue.go",
		old: "wanted = m.findOldest(c, now) || wanted", new: "",
		pkg: model,
	},
	{
		name: "packs of a missing topic grow older", file: "sdk/finality/slowstart.go",
		old: "if s.missing || s.oldestStarting() != p {", new: "if s.oldestStarting() != p {",
		pkg: finality, run: "MissingTopic",
	},
	{
		name: "packs of a topic that went missing later grow older", file: "sdk/finality/slowstart.go",
		old: "return !s.seen || s.missing", new: "return !s.seen",
		pkg: finality, run: "MissingTopic",
	},
	{
		name: "packs of a missing topic never grow older again", file: "sdk/finality/slowstart.go",
		old: "	m.queue.nextStart = 0\n", new: "	m.queue.nextStart = 1 << 60\n",
		pkg: finality, run: "MissingTopic",
	},
	{
		name: "no slow start", file: "sdk/finality/slowstart.go",
		old: "if s.open.packs >= m.cfg.StartPacks || s.open.bytes+n > m.cfg.StartBytes {", new: "if false {",
		pkg: finality, run: "NothingWasSeen",
	},
	{
		name: "slow start through one proxy", file: "sdk/finality/slowstart.go",
		old: "if here >= (m.cfg.StartPacks+proxies-1)/proxies {", new: "if proxies < 0 && here >= 0 {",
		pkg: finality, run: "SlowStart",
	},
	{
		name: "patience gives up all that is open of a stream that starts", file: "sdk/finality/slowstart.go",
		old: "if s.missing || s.oldestStarting() != p {", new: "if s.missing {",
		pkg: finality, run: "Patience",
	},
	{
		name: "a stream that starts is given up without a growing pause", file: "sdk/finality/slowstart.go",
		old: "			s.nextGiveUp = m.queue.clock + s.giveUpPause\n", new: "",
		pkg: finality, run: "Patience",
	},
	{
		name: "what is lost keeps its place in the slow start", file: "sdk/finality/pack.go",
		old: "	p.uncounted()\n	p.state, p.c, p.overdue = lost", new: "	p.state, p.c, p.overdue = lost",
		pkg: finality,
	},
	{
		name: "slow start does not end at the first pack seen", file: "sdk/finality/slowstart.go",
		old: "	s.seen = true\n", new: "",
		pkg: finality, run: "SlowStart",
	},
	{
		name: "a stream that starts holds up the others", file: "sdk/engine/choose.go",
		old: "finality.StreamStalled, finality.SlowStart:", new: "finality.StreamStalled:",
		pkg: sender, run: "WrongTopic",
	},
	{
		name: "a topic that one cluster lacks counts as missing", file: "connector/confirm/roster.go",
		old: "if !p.Lacks(c.Name(), n.of(c, at)) {", new: "if c == r.members[0] && !p.Lacks(c.Name(), n.of(c, at)) {",
		pkg: "./connector/confirm/kafka", run: "TestContractOfKafka/TopicIsMissing",
	},
	{
		name: "a topic that was deleted counts as there", file: "connector/confirm/positions.go",
		old: "	if t.there != said.Exists {", new: "	if !t.there && said.Exists {",
		pkg: "./connector/confirm/kafka", run: "TestContractOfKafka/TopicIsMissing",
	},
	{
		name: "nobody says which topic is looked at", file: "connector/internal/queue/topics.go",
		old: "	starts := st.Unseen > 0\n", new: "	starts := false\n",
		pkg: "./connector/internal/queue", run: "ReasonNames",
	},
	{
		name: "the cluster's tenant wins over the stream's", file: "sdk/manager/allconfig.go",
		old: "tenant != \"\" {", new: "false && tenant != \"\" {",
		pkg: "./sdk/manager", run: "Tenant",
	},
	{
		name: "a wrap type that the bridge cannot read is not named", file: "connector/confirm/managed/wrap.go",
		old: "wrap != manager.WrapInLongMsg {", new: "wrap == \"\" {",
		pkg: "./connector/confirm/managed", run: "WrapType",
	},
	// Memory and reading again.
	{
		name: "one stream filling the budget", file: "sdk/internal/fill/budget.go",
		old: "return max((limit-used-held)/2, 0)", new: "return max(limit-used, 0)",
		pkg: "./sdk/internal/fill", run: "BudgetRule",
	},
	{
		name: "a stream that stands still measures what the others may have waiting", file: "sdk/internal/fill/pace.go",
		old: "own <= b.worth(f, now)+pack {", new: "total <= b.worth(&b.ahead.Flow, now)+pack {",
		pkg: "./sdk/internal/fill", run: "StandsStill",
	},
	{
		name: "budget shared with repairs", file: "sdk/internal/fill/budget.go",
		old: "	if repair {\n		return b.repairs.take(payloads, nil)\n	}\n", new: "",
		pkg: sender, run: "Stream|Budget|Repair",
	},
	{
		name: "a record of the range skipped because its offset was sent before, by another route", file: "connector/internal/replay/task.go",
		old:  "		if len(p.offsets) == 0 {\n			p.time = eventAt\n		}\n",
		new:  "		if rec.Offset < sentBefore[t.of] {\n			continue\n		}\n		sentBefore[t.of] = rec.Offset + 1\n		if len(p.offsets) == 0 {\n			p.time = eventAt\n		}\n",
		more: [][2]string{{"type task struct {", "var sentBefore = map[Assignment]int64{}\n\ntype task struct {"}},
		pkg:  assigned, run: "ReadingAgain",
	},
	{
		name: "a jump to the log's start taken for compaction", file: "connector/internal/part/part.go",
		old: "return len(recs) > 0 &&", new: "return len(recs) < 0 &&",
		pkg: connector + " " + assigned, run: "Jumps",
	},
	{
		name: "an answer to a text pack that echoes nothing taken for its ack", file: "sdk/text.go",
		old: "early := !named && ack.Code != 0", new: "early := !named",
		pkg: sender, run: "Text",
	},
	{
		name: "the echo of another instance's text pack taken for an ack", file: "sdk/text.go",
		old: "if !ok || string(instance) != c.s.o.instance {", new: "if !ok || len(instance) == 0 {",
		pkg: sender, run: "Text",
	},
	{
		name: "an error without an echo held against a text pack that may not be meant", file: "sdk/engine/connection.go",
		old: "	if c.unclear {\n		return nil\n	}\n", new: "",
		pkg: sender, run: "Text",
	},
	// Identity, first sight, books.
	{
		name: "a partition whose topic was created again commits", file: "connector/internal/commit/offer.go",
		old: "Has(reason.Recreated, reason.Truncated,", new: "Has(reason.Truncated,",
		pkg: committing, run: "TestStoppedPartitionCommitsNothing",
	},
	{
		name: "a partition whose log was cut off commits", file: "connector/internal/commit/offer.go",
		old: "Has(reason.Recreated, reason.Truncated,", new: "Has(reason.Recreated,",
		pkg: committing, run: "TestStoppedPartitionCommitsNothing",
	},
	{
		name: "books that do not add up are committed", file: "connector/internal/commit/offer.go",
		old: "if !books.Close(offset) {", new: "if false {",
		pkg: committing, run: "TestBooksThatDoNotAddUp",
	},
	{
		name: "a commit by name without asking for the topic's id", file: "connector/internal/commit/ids.go",
		old: "	return c.all || c.agreed[p.ID().Topic]", new: "	return true",
		pkg: connector, run: "TestNothingIsCommittedByName",
	},
	{
		name: "the topic's id taken from what the client remembers", file: "connector/internal/source/source.go",
		old: "resp, err := req.RequestWith(ctx, whom)",
		new: "resp, err := func() (*kmsg.MetadataResponse, error) {\n\t\tcl, ok := whom.(interface {\n\t\t\tRequestCachedMetadata(context.Context, *kmsg.MetadataRequest, time.Duration) (*kmsg.MetadataResponse, error)\n\t\t})\n" +
			"\t\tif ok {\n\t\t\treturn cl.RequestCachedMetadata(ctx, req, time.Minute)\n\t\t}\n\t\treturn req.RequestWith(ctx, whom)\n\t}()",
		pkg: connector, run: "TestTopicCreatedAgainUnderLoad|TestNothingIsCommittedByName",
	},
	{
		name: "a topic that is created while its offsets are listed is not noticed", file: "connector/internal/source/survey.go",
		old: "after.Topics[name].ID != s.Topics[name].ID {", new: "false {",
		pkg: connector, run: "TestTopicCreatedWhileItsOffsetsAreListed",
	},
	{
		name: "an offset of a topic that was deleted is believed", file: "connector/resume/begin.go",
		old: "		return Refused\n	}\n	return Taken", new: "		return Taken\n	}\n	return Taken",
		pkg: "./connector/resume",
	},
	{
		name: "the line of another cluster refuses an offset", file: "connector/resume/begin.go",
		old: "if !c.Ours || cluster == \"\" || c.Line.Cluster != clusterWord(cluster) {", new: "if !c.Ours || cluster == \"\" {",
		pkg: "./connector/resume",
	},
	{
		name: "a partition that nothing gives a start begins at its log's start", file: "connector/internal/source/begin.go",
		old: "CommitFirst: log.stop == nil, Stop: log.stop}", new: "CommitFirst: true}",
		pkg: connector, run: "TestCommittedStopsWhatHasNoCommit",
	},
	{
		name: "what a start file passes over is not booked", file: "connector/internal/source/begin.go",
		old: " || log.why == resume.Named && log.stop == nil {", new: " {",
		pkg: connector, run: "TestFileSays",
	},
	{
		name: "a start file's line of a deleted topic is used", file: "connector/internal/source/start.go",
		old: "case e.ID != now:", new: "case false:",
		pkg: connector, run: "TestFileOfADeletedTopic",
	},
	{
		name: "a start file's line outside the log is moved into it", file: "connector/internal/source/start.go",
		old: "case e.Offset < x.Start || e.Offset > x.End:", new: "case false:",
		pkg: connector, run: "TestFileSays",
	},
	{
		name: "a partition that the group saw counts as added later", file: "connector/resume/begin.go",
		old: "num >= t.Seen.Partitions:\n		return Added, true", new: "num >= 0:\n		return Added, true",
		pkg: "./connector/resume", run: "TestLater",
	},
	{
		name: "a partition without a start commits", file: "connector/internal/commit/offer.go",
		old: "reason.Truncated, reason.NoStart, reason.Unbalanced)", new: "reason.Truncated, reason.Unbalanced)",
		pkg: committing, run: "TestStoppedPartitionCommitsNothing",
	},
	{
		name: "a group without commits begins although kafka.start is committed", file: "connector/build.go",
		old: "if len(commits) == 0 {", new: "if len(commits) < 0 {",
		pkg: connector, run: "TestCommittedRefuses",
	},
	{
		name: "a partition that was added begins as kafka.start says", file: "connector/resume/begin.go",
		old: "		return Start(), Added", new: "		return policy, Added",
		pkg: "./connector/resume",
	},
	{
		name: "a topic that came while no bridge ran begins at its end", file: "connector/resume/begin.go",
		old: "	case !policy.IsLatest():\n		return policy, SinceAlive", new: "	case true:\n		return policy, SinceAlive",
		pkg: "./connector/resume",
	},
	{
		name: "a replica that starts a second later sends the history", file: "connector/resume/begin.go",
		old: "return t.Seen.Began, SameStart", new: "return Start(), SameStart",
		pkg: "./connector/resume",
	},
	{
		name: "a partition is fetched before its start is committed", file: "connector/internal/consume/begin.go",
		old: "if p.Beginning() && p.Stopped() == nil {", new: "if p == nil {",
		pkg: connector, run: "TestStartIsCommittedBeforeTheFirstFetch",
	},
	{
		name: "a time start takes a partition that the answer leaves out to be at its end", file: "connector/internal/source/survey.go",
		old: "		case !ok:\n			return fmt.Errorf(\"listing the offset of %s at a time: %w\", id, ErrNoAnswer)", new: "		case !ok:\n			x := s.Logs[id]\n			x.at = x.End\n			s.Logs[id] = x\n			continue",
		pkg: connector, run: "TestTimeStart",
	},
	{
		name: "the books of a commit are those of one assignment", file: "connector/internal/commit/offer.go",
		old: "books = books.Add(ledgerBooks(p.Checkpoint().Offered()))", new: "books = ledgerBooks(p.Checkpoint().Offered())",
		pkg: connector, run: "TestBooksGoOn",
	},
	{
		name: "the books of a commit run ahead of its offset", file: "connector/checkpoint/commit.go",
		old: "	return p.offered\n", new: "	return p.ledgerLocked()\n",
		pkg: checkpoint,
	},
	{
		name: "an idle partition keeps a commit without a line", file: "connector/internal/assign/facts.go",
		old: "return (f.From.CommitFirst || f.From.Restate) &&", new: "return f.From.CommitFirst &&",
		pkg: connector, run: "TestUpgradeFrom",
	},
	{
		name: "offsets without books are added to what was moved", file: "connector/internal/source/begin.go",
		old: "bg.Books = resume.Books{From: c.Offset, Unproven: max(0, c.Offset-log.Start)}", new: "bg.Books = resume.Books{From: log.Start, Final: c.Offset - log.Start}",
		pkg: connector, run: "TestMigrateNames",
	},
	{
		name: "a loss that was accepted closes the books", file: "connector/report.go",
		old: "	case p.Lost > 0:", new: "	case p.Lost < 0:",
		pkg: connector, run: "TestMigrateWithAcceptedLoss",
	},
	{
		name: "a commit beyond the log's end is done", file: "connector/migrate.go",
		old: "return pl.done || pl.reason == \"\" && m.committedLocked(pl) >= pl.end", new: "return pl.done || m.committedLocked(pl) >= pl.end",
		pkg: connector, run: "TestMigrateDoesNotClose",
	},
	{
		name: "a migration goes on with a topic that was created again", file: "connector/internal/consume/begin.go",
		old: "	case bg.Refused != nil && o.deps.Migrates:", new: "	case false:",
		pkg: connector, run: "TestMigrationLeaves",
	},
	{
		name: "a topic that was created again is never joined", file: "connector/internal/consume/begin.go",
		old: "		o.table.joinAgain(id.Topic, \"it was deleted and created again\")\n", new: "",
		pkg: connector, run: "TestMemberThatTakesOver",
	},
	// What the bridge wrote itself.
	{
		name: "a topic that the bridge writes is consumed", file: "connector/internal/output/output.go",
		old: "	return wants && why.reason == \"\"", new: "	return wants",
		pkg: connector, run: "OwnQueue|AreLeftOut|InternalTopics",
	},
	{
		name: "own output known by its name only where the addresses tell", file: "connector/internal/output/output.go",
		old: "s.same || id != \"\" && id == source", new: "s.same",
		pkg: connector, run: "OwnQueue",
	},
	{
		name: "own output not known by its topic id", file: "connector/internal/output/output.go",
		old: "what != \"\" && id != ([16]byte{})", new: "what != \"\" && id == ([16]byte{})",
		pkg: connector, run: "TurnsOutToBeTheQueue",
	},
	{
		name: "a topic that turns out to be output goes on", file: "connector/internal/consume/topics.go",
		old: "	if !w.deps.Own.Look(w.table.topicIDs()) {", new: "	if w != nil {",
		pkg: connector, run: "TurnsOutToBeTheQueue",
	},
	{
		name: "a later assignment of a topic that is output goes on", file: "connector/internal/consume/consumer.go",
		old: "	if r := c.deps.Own.Stop(p.ID()); r != nil {\n		p.Gate().Add(*r, true)\n	}\n", new: "",
		pkg: connector, run: "TurnsOutToBeTheQueue",
	},
	{
		name: "a named topic that is output is not refused", file: "connector/internal/output/output.go",
		old: "if o.c.Routes.Names(topic) {", new: "if o.c.Routes.Names(topic) && len(o.left) == 0 {",
		pkg: connector, run: "RefusedWhereItIsNamed",
	},
	{
		name: "an own pack sent round again", file: "connector/internal/assign/judge.go",
		old: "	case route.OwnPack:\n		return route.Looped(", new: "	case route.OwnPack:\n		_ = route.Looped(",
		pkg: connector + " " + assigned, run: "OwnPack|CopyOfTheOwnQueue",
	},
	{
		name: "a pack of another group taken for a loop", file: "connector/internal/route/origin.go",
		old: "ok && string(from) == origin", new: "ok && len(from) > 0",
		pkg: connector + " " + route, run: "OwnPack|CopyOfTheOwnQueue|PackOfThisGroup",
	},
	{
		name: "packs without the group they come from", file: "sdk/stream.go",
		old: "	if s.s.origin != \"\" {", new: "	if s.s.origin == \"never\" {",
		pkg: sender + " " + connector, run: "Origin|CopyOfTheOwnQueue",
	},
	{
		name: "an own pack read again and sent", file: "connector/internal/replay/planner.go",
		old: "h != nil { // the log was cut", new: "h != nil && n == 0 { // the log was cut", more: [][2]string{{"	if h := route.LoopIn(", "	n := 1\n	if h := route.LoopIn("}},
		pkg: assigned, run: "ReadingAgain",
	},
	{
		name: "an expression means internal topics", file: "mapping/rule.go",
		old: "&& (p.re == nil || internalTopic(topic) == \"\")", new: "",
		pkg: "./mapping", run: "Internal",
	},
	{
		name: "a partition that the client dropped from its session stays unread", file: "connector/internal/consume/poll.go",
		old: "				pl.table.unread(part.ID{Topic: t.Topic, Num: fp.Partition}, fp.Err)\n", new: "",
		pkg: connector, run: "TestPartitionThatTheClientDrops",
	},
	{
		name: "what found no room is read again at once", file: "connector/internal/replay/planner.go",
		old: "			t.backOff(now, fullPauses)\n", new: "",
		pkg: assigned, run: "TestReadingAgainPauses",
	},
	{
		name: "reading again judges the log of another topic", file: "connector/internal/replay/planner.go",
		old: "if part.OtherTopic(rd.tasks[0].of.TopicID(), x.Topic) {", new: "if false {",
		pkg: assigned, run: "TestReadingAgainDoesNotJudge",
	},
	// Spans and event time.
	{
		name: "a span of a whole fetch", file: "connector/internal/assign/chunk.go",
		old: "oversize || s.full(c, size) || c.leaves(rec) {", new: "oversize || c.leaves(rec) {",
		pkg: assigned, run: "CrashLoop",
	},
	{
		name: "a span without a bound on its records", file: "connector/internal/assign/chunk.go",
		old: "c.seen >= times*maxSpanRecords || ", new: "",
		pkg: assigned, run: "Span",
	},
	{
		name: "the first spans of an assignment are wide", file: "connector/internal/assign/dispatch.go",
		old: "shortSpans-p.spans", new: "0",
		pkg: assigned, run: "CrashLoop",
	},
	{
		name: "records go to the streams of the chunk before", file: "connector/internal/assign/chunk.go",
		old: "			clear(s.index)\n", new: "",
		pkg: assigned, run: "TestGroupsOfAChunk",
	},
	{
		name: "a timestamp that wrapped taken for a time", file: "connector/internal/route/eventtime.go",
		old: " || rec.Timestamp.Nanosecond()%int(time.Millisecond) != 0 {", new: " {",
		pkg: route, run: "EventTimes",
	},
	{
		name: "a replaced time not found when read again", file: "connector/internal/replay/task.go",
		old: "if !t.origin.Arrived {", new: "if true {",
		pkg: assigned, run: "ReadingAgainFinds",
	},
	{
		name: "the minute of arrival forgotten when a replacement is lost", file: "connector/internal/replay/task.go",
		old: "	o.First, o.Last, o.Records = offsets[0],", new: "	o.Arrived = false\n	o.First, o.Last, o.Records = offsets[0],",
		pkg: assigned, run: "ReadingAgainFinds",
	},
	// A topic that is not found.
	{
		name: "a deletion is believed after one answer", file: "connector/internal/absence/absence.go",
		old: "return t.missing >= r.Answers && t.last.Sub(t.first) >= r.Over && (", new: "return t.missing >= 1 && (",
		pkg: absence,
	},
	{
		name: "a deletion is believed from one broker of several", file: "connector/internal/absence/absence.go",
		old: "(t.several || brokers <= 1)", new: "(t.several || brokers >= 1)",
		pkg: absence,
	},
	{
		name: "a broker that disagrees is ignored", file: "connector/internal/absence/absence.go",
		old: "		*t = Tracker{}\n		return", new: "		return",
		pkg: absence,
	},
	{
		name: "the same broker is asked each time", file: "connector/internal/consume/absent.go",
		old: "		as.last = broker\n", new: "",
		pkg: connector, run: "TestDeletionIsBelieved",
	},
	{
		name: "a deleted topic that is back stays stopped", file: "connector/internal/consume/absent.go",
		old: "		if wasGone {\n			w.GoOn(assign.Ending{Assignment: p, Key: gone})\n		}\n", new: "",
		pkg: connector, run: "TestSameTopicBack",
	},
	{
		name: "a list without a topic stops its partitions", file: "connector/internal/consume/topics.go",
		old: "			w.miss(p, byList, kerr.UnknownTopicOrPartition)", new: "			_ = kerr.UnknownTopicOrPartition\n			p.StopRecreated()",
		pkg: connector, run: "TestIncompleteList",
	},
	{
		name: "a partition whose log is not found at the assignment is stopped", file: "connector/internal/consume/begin.go",
		old: "	case bg.Absent != nil: // it begins later\n", new: "	case bg.Absent != nil:\n		bg.Stop = part.Deleted(id)\n",
		pkg: connector, run: "TestUnknownAnswerAtAssignment",
	},
	{
		name: "a missing right counts as a missing topic", file: "connector/internal/consume/absent.go",
		old: "		return absence.Denied, t.Err", new: "		return absence.Missing, t.Err",
		pkg: connector, run: "TestMissingRight",
	},
	{
		name: "a right that one topic lacks is blamed on the group", file: "connector/internal/consume/poll.go",
		old: "				pl.missTopic(t.Topic, fp.Err)\n", new: "				_ = pl.sessionError(fp.Err)\n",
		pkg: connector, run: "TestMissingRightOfOneTopic",
	},
	{
		name: "a topic that may not be described hides the others", file: "connector/internal/consume/topics.go",
		old: "details, err := w.deps.Kafka.ListTopics(ctx, ask)", new: "details, err := kadm.NewClient(w.deps.Direct).ListTopics(ctx, ask...)",
		pkg: connector, run: "TestMissingRightOfOneTopic",
	},
	{
		name: "what took the place of an assignment outlives its revoke", file: "connector/internal/consume/group.go",
		old: "for ; p != nil; p = p.Succeeded() {", new: "for ; p != nil; p = nil {",
		pkg: connector, run: "TestRevokeEndsTheAssignment",
	},
	{
		name: "an assignment that ends gives way to another", file: "connector/internal/consume/table.go",
		old: "if tb.parts[old.ID()] != old || !old.GivesWayTo(p) {", new: "if tb.parts[old.ID()] != old && !old.GivesWayTo(p) {",
		pkg: connector, run: "TestRevokeEndsTheAssignment",
	},
	// A log that was cut off.
	{
		name: "a truncation ends when the log has grown past the offset", file: "connector/internal/source/epochs.go",
		old: "		ask[id] = c\n", new: "		_, s.epochs[id] = c, EpochCheck{}\n",
		pkg: connector, run: "TestCommitOfALogThatWasCutOff",
	},
	{
		name: "a truncation while the bridge runs ends when the log has grown past the position", file: "connector/internal/consume/faults.go",
		old: "if bg.Lost > 0 || epoch < 0 {", new: "if epoch >= -1 {",
		pkg: connector, run: "TestPositionOutOfRangeInALogThatHasGrown",
	},
	{
		name: "an epoch that the log does not have is believed", file: "connector/internal/source/epochs.go",
		old: "	case at == epoch:\n		return EpochCheck{}\n	}", new: "	}\n	if found {\n		return EpochCheck{}\n	}",
		pkg: brokers, run: "TestEpochTells|TestCommitOfALogThatWasCutOff",
	},
	{
		name: "an older epoch counts as a log that was cut off", file: "connector/internal/source/epochs.go",
		old: "		v = JudgeRecord(v, c.Offset, c.Epoch, epoch, found)\n", new: "		v = JudgeRecord(v, c.Offset, c.Epoch, epoch+1, found)\n",
		pkg: connector, run: "TestCommitOfAnOlderEpoch",
	},
	{
		name: "an offset without an epoch is not named", file: "connector/internal/source/begin.go",
		old: "		bg.Bare = true\n", new: "",
		pkg: connector, run: "TestCommitWithoutAnEpochIsNamed",
	},
	{
		name: "a hole keeps the epoch of the record before it", file: "connector/internal/assign/position.go",
		old: "p.epochs.add(from, -1)", new: "",
		pkg: assigned, run: "TestPositionBehindAHole",
	},
	{
		name: "a fetch by hand that unfolds without bound", file: "connector/internal/source/fetch.go",
		old: "unfolding(src.client), nil)", new: "kgo.DefaultDecompressor(), nil)",
		pkg: connector, run: "NextRecordUnfolds",
	},
	{
		name: "a look by hand overtakes the client", file: "connector/internal/source/fetch.go",
		old: "KeepControlRecords: true,", new: "KeepControlRecords: isolation != kgo.ReadCommitted(),",
		pkg: connector, run: "LookAtAnIdlePartition",
	},
	// Breaks that once survived.
	{
		name: "a frame freed while a writer holds it", file: "sdk/perform.go",
		old: "p.released && p.writers == 0 && p", new: "p.released && p",
		pkg: sender, run: "BufferIsKept",
	},
	{
		name: "an ack for a pack that was never written", file: "sdk/engine/connection.go",
		old: "p != nil && p.taken {", new: "p != nil {",
		pkg: sender, run: "NotWritten",
	},
	{
		name: "a pack that was written twice speaks for its proxy", file: "sdk/finality/queue.go",
		old: "if p.copies == 1 {", new: "if p.copies >= 1 {",
		pkg: finality,
	},
	{
		name: "the queue clock is not capped", file: "sdk/finality/queue.go",
		old: "min(now-m.queue.at, m.cfg.ClockGap)", new: "now - m.queue.at",
		pkg: finality,
	},
	{
		name: "the position is moved before the sink was told", file: "connector/confirm/tracker.go",
		old: "	if len(found.Seqs) > 0 {\n		sink.Seen(found.Seqs)\n	}\n",
		new: "	for _, s := range steps {\n		t.e.pos.Advance(s.Place, s.Life, s.Next)\n	}\n	t.Moved()\n	if len(found.Seqs) > 0 {\n		sink.Seen(found.Seqs)\n	}\n",
		pkg: "./connector/confirm/kafka", run: "TestContractOfKafka",
	},
	{
		name: "a migration takes the record at its end", file: "connector/internal/assign/chunk.go",
		old: "rec.Offset >= s.Limit", new: "rec.Offset > s.Limit",
		pkg: connector + " " + assigned, run: "SplitEnds|TestMigrateLeavesWhat",
	},
	{
		name: "a migration ends one record later", file: "connector/migrate.go",
		old: "planEnd{offset: p.end,", new: "planEnd{offset: p.end + 1,",
		pkg: connector, run: "TestMigrateLeavesWhat",
	},
	{
		name: "records that are gone are booked as compaction", file: "connector/internal/replay/planner.go",
		old: "	if t.gone {\n		class = checkpoint.LostGap", new: "	if t.gone {\n		class = checkpoint.Gap",
		pkg: assigned, run: "GoneFromHalf",
	},
	{
		name: "a lost piece that is gone whole is booked as compaction", file: "connector/internal/replay/planner.go",
		old: "int64(t.missing()), checkpoint.LostGap)", new: "int64(t.missing()), checkpoint.Gap)",
		pkg: assigned, run: "ReadingAgainThatJumps",
	},
	{
		name: "books of what was not committed are counted", file: "connector/internal/commit/offer.go",
		old: "	if taken {\n		o.Of.Commits.Took", new: "	if true {\n		o.Of.Commits.Took",
		pkg: connector, run: "TestMigrateBooksOnly",
	},
	{
		name: "records of another topic of the same name are taken", file: "connector/internal/consume/poll.go",
		old: "t.TopicID != p.TopicID() {", new: "false {",
		pkg: connector, run: "FetchOfAnotherTopic",
	},
	{
		name: "records of another topic of the same name are sent for lost ones", file: "connector/internal/replay/planner.go",
		old: "case part.OtherTopic(topic, rd.tasks[0].of.TopicID()):", new: "case false:",
		pkg: assigned, run: "TakesNothingOfAnotherTopic",
	},
	{
		name: "a partition that a commit's answer leaves out counts as committed", file: "connector/internal/commit/commit.go",
		old: "case !answered:", new: "case !answered && false:",
		pkg: connector, run: "LeavesAPartitionOut",
	},
	{
		name: "a partition is let go while a commit is on its way", file: "connector/internal/commit/commit.go",
		old: "	case <-wait.C:\n", new: "	case <-wait.C:\n	default:\n",
		pkg: connector, run: "LetGoOnly",
	},
	{
		name: "all partitions are committed in one request", file: "connector/internal/commit/commit.go",
		old: "slices.Chunk(inTurn(parts), maxAtOnce)", new: "slices.Chunk(inTurn(parts), len(parts))",
		pkg: connector, run: "TestCommitOfManyPartitions",
	},
	{
		name: "a zombie is opened by an older pack", file: "sdk/finality/queue.go",
		old: "if ep.zombie && order > ep.openOrder {", new: "if ep.zombie {",
		pkg: finality,
	},
	{
		name: "a pack is lost by a barrier that began before it was overdue", file: "sdk/finality/queue.go",
		old: "if p.overdue && p.overdueSince <= begun {", new: "if p.overdue {",
		pkg: finality,
	},
	{
		name: "what is seen does not shorten the pause between probes", file: "sdk/finality/queue.go",
		old: "			c.nextProbe, c.probePause = 0, 0\n", new: "",
		pkg: finality,
	},
	{
		name: "a refused pack stays in the window", file: "sdk/finality/pack.go",
		old: "	p.unlink()\n	c.leave(p)\n	p.uncounted()\n	m.heard", new: "	p.unlink()\n	p.uncounted()\n	m.heard",
		pkg: finality,
	},
	{
		name: "a connection that is being closed takes packs", file: "sdk/finality/connection.go",
		old: "c == nil || c.closing {", new: "c == nil {",
		pkg: finality,
	},
	{
		name: "patience counts from the tick before the ack", file: "sdk/finality/pack.go",
		old: "		m.advanceQueue(now)\n		p.stamp", new: "		p.stamp",
		pkg: finality,
	},
	{
		name: "a stream stalls for one proxy of several", file: "sdk/finality/queue.go",
		old: "len(s.overtaken) < enough", new: "len(s.overtaken) < min(enough, 1)",
		pkg: finality,
	},
	{
		name: "connections on which nothing was sent count as ended early", file: "sdk/finality/endpoint.go",
		old: "if !c.used || c.settled || c.blamed {", new: "if c.settled || c.blamed {",
		pkg: finality,
	},
	{
		name: "a stalled stream that is seen stays stalled", file: "sdk/finality/queue.go",
		old: "		s.stalled = false\n", new: "",
		pkg: finality,
	},
	{
		name: "a commit that failed counts", file: "connector/checkpoint/commit.go",
		old: "	if !committed {\n		return\n	}\n", new: "",
		pkg: checkpoint,
	},
	{
		name: "pieces above the committed offset are forgotten", file: "connector/checkpoint/commit.go",
		old: "if s.next > p.committed {", new: "if s.from > p.committed {",
		pkg: checkpoint,
	},
	// Batches of the queue that cannot be read.
	// Values that look right.
	{
		name: "names keep their line end", file: "connector/config/value.go",
		old: "		if msg := unseenProblem(text); msg != \"\" {", new: "		if msg := \"\"; msg != \"\" {",
		pkg: "./connector/config", run: "TestNamesFromTheEnvironment",
	},
	{
		name: "secrets of the environment keep their line end", file: "connector/config/decode.go",
		old: "		text = trimLineEnd(text)\n", new: "",
		pkg: "./connector/config", run: "TestSecretsLoseTheirLineEnd",
	},
	{
		name: "a rotated secret in UTF-16 is taken", file: "connector/config/secret.go",
		old: "	if err := encodingError(data); err != nil {", new: "	if err := encodingError(nil); err != nil {",
		pkg: "./connector/config", run: "TestTextsOfAnotherEncoding",
	},
	{
		name: "the path behind a Manager's URL is kept", file: "sdk/manager/client.go",
		old: "	return raw[:i], rest\n", new: "	return raw, \"\"\n",
		pkg: "./sdk/manager", run: "TestURLsOfInLongsSDKs",
	},
	{
		name: "the tenant is not sent", file: "sdk/manager/client.go",
		old: "	if c.tenant != \"\" {", new: "	if false {",
		pkg: "./sdk/manager", run: "TestTenantIsAHeader",
	},
	{
		name: "patterns that match nothing are warned of at each look", file: "connector/internal/consume/table.go",
		old: "!slices.Equal(tb.unmatched, unmatched)", new: "len(unmatched) > 0 || !slices.Equal(tb.unmatched, unmatched)",
		pkg: connector, run: "TestPatternThatMatchesNoTopic",
	},
	{
		name: "a batch of the queue that cannot be read is waited for", file: "connector/confirm/kafka/cluster.go",
		old: "moved = c.passOver(sink, u, bad) || moved", new: "_ = bad",
		pkg: "./connector/confirm/kafka", run: "TestBatchThatCannotBeRead",
	},
	{
		name: "a batch of the queue unfolds to any size", file: "connector/confirm/kafka/cluster.go",
		old: "		kgo.MaxDecompressBatchBytes(r.cfg.Unfold),\n", new: "",
		pkg: "./connector/confirm/kafka", run: "TestBatchThatCannotBeRead",
	},
	{
		name: "unreadable batches are passed over without end", file: "connector/confirm/passover.go",
		old: "	case p.row[at] >= MaxPassOvers:", new: "	case p.row[at] >= 1<<30:",
		pkg: "./connector/confirm/kafka", run: "TestTenUnreadable",
	},
	{
		name: "a batch that may hold what was sent again is passed over", file: "connector/confirm/passover.go",
		old: "	case p.any && repairsUnseen > 0:", new: "	case false:",
		pkg: "./connector/confirm/kafka", run: "TestSecondUnreadable",
	},
	{
		name: "the end of a damaged batch is believed wherever it leads", file: "connector/confirm/kafka/unreadable.go",
		old: "if next := confirm.At(e.next); !u.Next.Before(next) || u.End.Before(next) {", new: "if next := confirm.At(e.next); false && u.End.Before(next) {",
		pkg: "./connector/confirm/kafka", run: "TestDamagedBatch",
	},
	{
		name: "packs that are sent again are not counted until they are seen", file: "sdk/engine/pack.go",
		old: "		e.repairs[p.state] += n\n", new: "		e.repairs[p.state] += n * int(1-min(p.sends, 1))\n",
		pkg: sender, run: "TestRepairsAreCounted",
	},
	// Start and stop.
	{
		name: "an outage ends the start at once", file: "connector/starting.go",
		old: "switch judge(err) {", new: "switch max(judge(err), kafkaclient.Lasts) {",
		pkg: connector, run: "TestStartWaits",
	},
	{
		name: "the start waits longer than its time-out", file: "connector/starting.go",
		old: "return limit - now.Sub(b.started), limit", new: "return 2*limit - now.Sub(b.started), limit",
		pkg: connector, run: "AfterStartTimeout",
	},
	{
		name: "the start waits with wrong credentials", file: "connector/kafkaclient/outlook.go",
		old: "if errors.Is(err, refusal) {", new: "if false && errors.Is(err, refusal) {",
		pkg: connector, run: "TestWrongCredentialsEnd|TestMissingRightEnds",
	},
	{
		name: "what came into the first topic during the wait is passed over", file: "connector/build.go",
		old: "known = []string{}", new: "known = nil",
		pkg: connector, run: "TestStartWaitsForTheFirstTopic",
	},
	{
		name: "ready before the first join", file: "connector/internal/consume/consumer.go",
		old: "return c.Sessions() > 0", new: "return c.Sessions()+1 > 0",
		pkg: connector, run: "TestReadyOnlyAfterTheFirstJoin",
	},
	{
		name: "partitions are begun after the signal", file: "connector/internal/consume/begin.go",
		old: "		if o.member.stopping() { // nothing more", new: "		if false { // nothing more",
		more: [][2]string{{"if err == nil && o.member.stopping() {", "if false {"}},
		pkg:  connector, run: "TestPartitionsOfALateJoin",
	},
	{
		name: "a session that ends after the signal is followed by a join", file: "connector/internal/consume/leave.go",
		old: "if !g.draining.Load() || k.InstanceID", new: "if g.draining.Load() || k.InstanceID",
		pkg: connector, run: "TestNothingIsJoinedWhile",
	},
	{
		name: "a join that hangs is waited for", file: "connector/internal/consume/leave.go",
		old: "if !joining || static {", new: "if joining || static {",
		pkg: connector, run: "TestSignalWhileTheFirstJoinHangs",
	},
	{
		name: "a member leaves a rebalance without a word", file: "connector/internal/consume/leave.go",
		old: "if !left && !static && member != \"\" {", new: "if left && !static && member != \"\" {",
		pkg: connector, run: "TestSignalWhileAJoinHangs",
	},
	{
		name: "a join holds the last commit back", file: "connector/internal/consume/leave.go",
		old: "if s == nil || !g.stopping() ||", new: "if true || s == nil || !g.stopping() ||",
		pkg: connector, run: "TestCommitThatAJoinHoldsBack",
	},
	{
		name: "a commit that a join holds back outlasts the signal", file: "connector/internal/consume/leave.go",
		old: "		if !g.inSession.Load() {\n			cancel()", new: "		if g.inSession.Load() {\n			cancel()",
		pkg: connector, run: "TestCommitThatAJoinHoldsBack",
	},
	// What is refused permanently.
	{
		name: "a refusal of one proxy of two is believed", file: "sdk/engine/refused.go",
		old: "return len(r.by) > 1 || ", new: "return len(r.by) > 0 || ",
		pkg: sender, run: "TestRefusalOf",
	},
	{
		name: "a pack goes on being sent to the proxy that refused it", file: "sdk/engine/choose.go",
		old: "if p.avoids(ep) ||", new: "if (p.probed() && p.avoids(ep)) ||",
		pkg: sender, run: "TestPackThatOneProxyRefused",
	},
	{
		name: "all held packs are tried together", file: "sdk/engine/refused.go",
		old: "	h.probing = p\n", new: "	h.probing = nil\n	h.next = now\n",
		pkg: sender, run: "TestHeldPack",
	},
	{
		name: "the pause before held packs never grows", file: "sdk/engine/refused.go",
		old: "	h.pauses++\n	h.next = now", new: "	h.next = now",
		pkg: sender, run: "TestHeldPack",
	},
	{
		name: "a held pack that is never taken stands before the others", file: "sdk/engine/refused.go",
		old: "	p.stream.probes++\n", new: "",
		pkg: sender, run: "TestHeldPackThatIsNeverTaken",
	},
	{
		name: "one held pack is taken and the others stay", file: "sdk/engine/refused.go",
		old: "	for _, q := range released {", new: "	h.held, released = released, nil\n	for _, q := range released {",
		pkg: sender, run: "TestHeldPack",
	},
	{
		name: "a pack that is held no more is not told so", file: "sdk/engine/refused.go",
		old: "	p.refusal = nil\n	if r.held {\n", new: "	p.refusal = nil\n	if false {\n",
		pkg: sender, run: "TestHeldAndReleased|TestHeldPack",
	},
	{
		name: "the sender waits for held packs when it closes", file: "sdk/engine/pack.go",
		old: "return n[Waiting] + n[InFlight] + n[Acked] }", new: "return n[Waiting] + n[InFlight] + n[Acked] + n[Held] }",
		pkg: sender, run: "TestHeldPackThatIsNeverTaken",
	},
	{
		name: "a held message whose callback waits is dropped", file: "sdk/forgetting.go",
		old: " && !slices.ContainsFunc(p.pieces, piece.single)", new: "",
		pkg: sender, run: "TestHeldPackThatIsForgotten",
	},
	{
		name: "a held pack is dropped though one of its messages waits for its callback", file: "sdk/forgetting.go",
		old: "len(p.calls) == 0 && ", new: "",
		pkg: sender, run: "TestHeldPackThatIsForgotten",
	},
	{
		name: "the halves of a pack call back for each other's records", file: "sdk/split.go",
		old: "slices.Clone(p.calls[from:min(from+len(items), len(p.calls))])", new: "slices.Clone(p.calls[:min(len(items), len(p.calls))])",
		pkg: sender, run: "TestPoisonRecordIsRefusedAndTheRest",
	},
	{
		name: "an unknown stream is asked about by several packs at once", file: "sdk/engine/stream.go",
		old: "		if b.trial != 0 {\n			return true\n", new: "		if b.trial != 0 {\n			return false\n",
		pkg: sender, run: "TestUnknownStream",
	},
	{
		name: "the pause of an unknown stream ends where other pauses do", file: "sdk/engine/breaker.go",
		old: "		b.Max = max(b.Max, e.cfg.HeldRetry.Max)\n", new: "",
		pkg: sender, run: "TestUnknownStream",
	},
	{
		name: "a connection is kept empty for a pack that is final", file: "sdk/engine/pack.go",
		old: "	p.unreserve() // it may", new: "	// it may",
		pkg: engine, run: "TestConnectionIsNotKept",
	},
	// Streams that are forgotten.
	{
		name: "a stream is forgotten while a pack of it is acked", file: "sdk/engine/stream.go",
		old: "	if st.known > 0 || !e.confirm.ForgetStream(st.id) {\n		return false\n	}\n",
		new: "	if e.states[Waiting]+e.states[InFlight]+e.states[Lost]+e.states[Held] > 0 {\n		return false\n	}\n	e.confirm.ForgetStream(st.id)\n",
		pkg: sender, run: "TestStreamIsForgottenOnlyWhen",
	},
	{
		name: "a stream is forgotten while a lost pack of it is remembered", file: "sdk/engine/stream.go",
		old: "	if st.known > 0 || !e.confirm.ForgetStream(st.id) {\n		return false\n	}\n",
		new: "	if e.states[Waiting]+e.states[InFlight]+e.states[Acked]+e.states[Held] > 0 {\n		return false\n	}\n	e.confirm.ForgetStream(st.id)\n",
		pkg: sender, run: "TestStreamIsForgottenOnlyWhen",
	},
	{
		name: "a stream is forgotten while the state machine knows a pack of it", file: "sdk/finality/endpoint.go",
		old: "if s.packs > 0 || s.stalled {", new: "if s.stalled {",
		pkg: finality, run: "TestStreamWithAPack",
	},
	{
		name: "a stream that stalls is forgotten, and goes on at full rate", file: "sdk/finality/endpoint.go",
		old: "if s.packs > 0 || s.stalled {", new: "if s.packs > 0 {",
		pkg: finality, run: "TestStalledStreamIsNot",
	},
	{
		name: "a forgotten stream takes records", file: "sdk/batch.go",
		old: "	if st.forgotten {\n", new: "	if false {\n",
		pkg: sender, run: "TestForgottenStreamTakesNothing",
	},
	{
		name: "the queue of a stream that comes again is watched before it was left", file: "sdk/confirm.go",
		old: "			<-left // see ForgetStream\n", new: "",
		pkg: sender, run: "TestQueueOfAStreamThatComesAgain",
	},
	{
		name: "streams cost nothing", file: "sdk/internal/fill/budget.go",
		old: "return a.limit - max(a.fixed.Load()+more-freeFixed, 0) }", new: "return a.limit - min(more, 0) }",
		pkg: sender, run: "TestStreamsCount",
	},
	{
		name: "the sum of many streams falls when one is forgotten", file: "sdk/forget.go",
		old: "		s.openings.gone.add(&sum)\n", new: "",
		pkg: sender, run: "TestMetricsOfForgotten",
	},
	{
		name: "the Manager is asked about groups without streams", file: "sdk/forget.go",
		old: "		g.end()\n", new: "		_ = g.end\n",
		pkg: sender, run: "TestGroupWithoutStreams",
	},
	// Topics of the queue that nobody needs.
	{
		name: "a barrier waits for a topic that was dropped", file: "connector/confirm/barrier.go",
		old: "			continue // dropped", new: "			return false, nil // dropped",
		pkg: "./connector/confirm", run: "TestBarrierDoesNotWait",
	},
	{
		name: "a topic is dropped while another stream uses it", file: "connector/confirm/roster.go",
		old: "	if r.uses[u] > 0 {\n		return true\n	}\n", new: "",
		pkg: "./connector/confirm/kafka", run: "TestTopicIsWatchedWhile",
	},
	{
		name: "a topic is dropped although a stream that uses it is about to be watched", file: "connector/confirm/roster.go",
		old: "		if r.use(c, at) == u {", new: "		if false && r.use(c, at) == u {",
		pkg: "./connector/confirm", run: "TestTopicIsNeeded",
	},
	{
		name: "a cluster joins with a stream that is not watched there", file: "connector/confirm/roster.go",
		old: "		if !done[at] {", new: "		if len(done) == 0 && !done[at] {",
		pkg: "./connector/confirm", run: "TestClusterIsAMember",
	},
	{
		name: "each question of a fault is logged", file: "connector/internal/faults/faults.go",
		old: "	if now.Sub(f.logged) < every {", new: "	if false {",
		pkg: "./connector/internal/faults",
	},
	// What the log says of proxies.
	{
		name: "each lost pack is a line of its own", file: "sdk/internal/losses/losses.go",
		old: "return e.proxy.ID == proxy.ID && e.why == why", new: "return false",
		pkg: sender, run: "TestLossOfAProxy",
	},
	{
		name: "the end of a loss is not told", file: "sdk/internal/losses/losses.go",
		old: "if e.logged && e.open == 0 {", new: "if false {",
		pkg: sender, run: "TestLossOfAProxy",
	},
	{
		name: "losses that go on are logged each second", file: "sdk/internal/losses/losses.go",
		old: "window := windows.Next(l.events[i].window)", new: "window := windows.Min",
		pkg: "./sdk/internal/losses", run: "TestLossesW|TestLossesThat",
	},
	{
		name: "a proxy that stays away is logged once", file: "sdk/engine/outage.go",
		old: "case now >= o.next:", new: "case false:",
		pkg: sender, run: "TestOutageIsLoggedAgain",
	},
	{
		name: "each failed dial is logged", file: "sdk/engine/outage.go",
		old: "case !slices.Contains(o.told, f):", new: "case !slices.Contains(o.told, f) || true:",
		pkg: sender, run: "TestOutage",
	},
	// Reaching proxies.
	{
		name: "a name with several addresses is one proxy", file: "sdk/internal/names/names.go",
		old: "several := n.several || len(next) > 1", new: "several := n.several",
		pkg: sender, run: "Name|Address",
	},
	{
		name: "an address absent from one answer of several is left", file: "sdk/internal/names/names.go",
		old: "n.absent[a] < absentAnswers && connected(", new: "n.absent[a] < 1 && connected(",
		pkg: "./sdk/internal/names", run: "TestConnectedAddressMayBeAbsent",
	},
	{
		name: "a group never asks the Manager itself while its cluster does", file: "sdk/internal/lists/lists.go",
		old: "!c.share || now.Sub(s.asked) > ownAnswer*c.refresh {", new: "!c.share {",
		pkg: "./sdk/internal/lists", run: "TestGroupsOfACluster",
	},
	{
		name: "what was never encoded stays in the backlog", file: "sdk/internal/encode/queue.go",
		old: "		q.backlog.Add(-int64(p.size))\n", new: "",
		pkg: "./sdk/internal/encode", run: "TestQueueHandsOut",
	},
	{
		name: "dials that fail are as far apart as other tries", file: "sdk/endpoint.go",
		old: "	b.Max = max(b.Min, min(b.Max, maxDialPause))\n", new: "",
		pkg: sender, run: "TestProxyThatIsBack",
	},
	{
		name: "a proxy's next dial is waited for while none is connected", file: "sdk/engine/endpoint.go",
		old: "		e.emit(Effect{Kind: Redial, Endpoint: ep})\n", new: "		_ = ep\n",
		pkg: sender, run: "TestAllProxiesAreDialled",
	},
	{
		name: "a pack is blamed for a connection that never answered", file: "sdk/engine/retry.go",
		old: "if taken && !c.answers {", new: "if false {",
		pkg: sender, run: "TestNoPackIsBlamed",
	},
	{
		name: "a load balancer without proxies gets packs", file: "sdk/engine/choose.go",
		old: "!c.takes() || c.unproven:", new: "!c.takes():",
		pkg: sender, run: "TestNoPackIsBlamed",
	},
	{
		name: "a load balancer is the only way and is tried as seldom as one of many", file: "sdk/endpoint.go",
		old: "if unproven && end.Alone {", new: "if false {",
		pkg: sender, run: "TestBalancerThatHasAProxyAgain",
	},
	{
		name: "the next pack of a lane goes before the one before is final", file: "connector/checkpoint/lane.go",
		old: "	return !some\n", new: "	return true || some\n",
		pkg: model + " " + assigned,
	},
	{
		name: "the parts of a lost piece are sent together though its lane keeps an order", file: "connector/internal/replay/planner.go",
		old: "tooLarge == nil && t.inTurn() {", new: "tooLarge == nil {",
		pkg: model + " " + assigned,
	},
	{
		name: "the lost pieces of a lane are sent together", file: "connector/checkpoint/lane.go",
		old: "return !some || first == x.handle", new: "return !some || first > 0",
		pkg: model + " " + assigned,
	},
	{
		name: "a lane that the sender has turned away goes on in a later chunk", file: "connector/internal/assign/order.go",
		old: "p.lanes.blocked |= 1 << g.lane", new: "_ = uint64(1) << g.lane",
		pkg: assigned, run: "TestFullStreamHolds",
	},
	{
		name: "a lane that is freed while chunks are offered goes on in a later chunk", file: "connector/internal/assign/order.go",
		old: "p.lanes.blocked |= 1 << lane\n", new: "_ = uint64(1) << lane\n",
		pkg: assigned, run: "TestLaneThatIsFreed",
	},
	{
		name: "records of other lanes are read again with a lost piece", file: "connector/internal/replay/task.go",
		old: " || t.of.Lane(rec) != t.origin.Lane", new: "",
		pkg: assigned, run: "TestFirstCopiesArriveInOrder",
	},
	{
		name: "a pack that keeps an order is cut in two", file: "sdk/onepack.go",
		old: "{ return p.number != 0 }", new: "{ return p == nil }",
		pkg: sender, run: "TestPackThatKeepsAnOrder",
	},
	{
		name: "the records of a lane are gathered over a change of stream or minute", file: "connector/internal/assign/order.go",
		old: "return g != nil && (g.route", new: "return g == nil && (g.route",
		pkg: assigned, run: "TestRecordsOfAnotherStreamOrMinute",
	},
	{
		name: "a batch of one pack goes on in the next", file: "sdk/batch.go",
		old: "case !st.takesMoreLocked(*one, &key, size): // the rest does not fit", new: "case n < 0:",
		pkg: sender, run: "OnePack",
	},
	{
		name: "the room of what did not fit into the one pack is kept", file: "sdk/onepack.go",
		old: "s.budget.Refund(back, key.repair, &st.held)", new: "_ = back",
		pkg: sender, run: "OnePack",
	},
	{
		name: "what waits for its turn has no bound", file: "connector/internal/consume/pending.go",
		old: "c.pending.InOrder.Load() > c.limits.FetchBytes", new: "c.pending.InOrder.Load() < 0",
		pkg: "./connector/internal/consume", run: "TestNothingIsFetchedWhileMuch",
	},
	{
		name: "what waits for its turn and does not move keeps others from being fetched", file: "connector/internal/assign/order.go",
		old: "now.Sub(p.lanes.moved) < stillAfter", new: "!now.Before(p.lanes.moved)",
		pkg: assigned, run: "TestWhatWaitsForItsTurn",
	},
	{
		name: "a later chunk's span begins before those of chunks that wait", file: "connector/internal/assign/dispatch.go",
		old: "b := p.pending.chunks[i]\n", new: "b := c\n",
		pkg: assigned, run: "TestFirstCopiesArriveInOrder",
	},
	{
		name: "final pieces that wait for a commit do not count against a partition's share", file: "connector/internal/assign/pending.go",
		old: "k, held := p.shareKey, p.checkpoint.Held()", new: "k, held := p.shareKey, p.checkpoint.Unfinal()",
		pkg: connector, run: "TestFailingCommits",
	},
	{
		name: "a partition may hold every piece that max_unfinal allows", file: "connector/internal/assign/pending.go",
		old: "case e == nil && held > free:", new: "case e == nil && held > most:",
		pkg: "./connector/internal/consume", run: "TestPartitionHoldsAsManyPiecesAsAreFree",
	},
	{
		name: "a stream is used while it is forgotten", file: "connector/internal/route/route.go",
		old: "if ch := rs.leaving[t]; ch != nil {", new: "if ch := rs.leaving[t]; false {",
		pkg: route, run: "TestOtherRoutesAreFound",
	},
	{
		name: "streams have no bound", file: "connector/internal/route/route.go",
		old: "if rs.max > 0 && inUse >= rs.max {", new: "if false {",
		pkg: connector, run: "TestStreamTooMany",
	},
	{
		name: "an index of a forgotten stream is given again", file: "connector/internal/route/route.go",
		old: "	rs.next++\n", new: "	rs.next = int32(len(rs.byTarget)) + 1\n",
		pkg: route, run: "TestIndexOfARoute",
	},
	{
		name: "a stream is forgotten while a record waits for it", file: "connector/internal/assign/pending.go",
		old: "			in[c.groups[i].route.Index] = true\n", new: "			_ = i\n",
		pkg: assigned, run: "TestRouteThatAPiece",
	},
	{
		name: "a stream is forgotten while a piece names it", file: "connector/internal/assign/pending.go",
		old: "	p.checkpoint.Routes(in)\n", new: "",
		pkg: assigned, run: "TestRouteThatAPiece",
	},
	{
		name: "a partition that waits for room is not counted", file: "connector/internal/assign/pending.go",
		old: "		p.pending.shared.Waiting.Add(1)\n", new: "",
		pkg: assigned, run: "TestAssignmentsThatWaitForRoom",
	},
	// Engine: dispatch, breaker, run queue, retry, isolation and cutting, held packs.
	{
		name: "a pack that is sent again waits behind younger ones", file: "sdk/engine/runqueue.go",
		old: "q.tail == nil || q.tail.seq < p.seq {", new: "true {",
		pkg: engine, run: "TestPackQueue",
	},
	{
		name: "new packs go before repairs", file: "sdk/engine/pack.go",
		old: "	case p.Repair:\n		return laneRepair\n", new: "	case p.Repair:\n		return laneNew\n",
		pkg: engine, run: "TestRepairsGoBefore",
	},
	{
		name: "a blocked stream waits for its turn though something happened to its packs", file: "sdk/engine/runqueue.go",
		old: "ln != nil && ln.turn.In() == &e.runnable[l].blocked {", new: "ln != nil && ln.turn.In() == &e.runnable[l].blocked && e.scanAll {",
		pkg: engine, run: "TestStreamThatMayGoAgain",
	},
	{
		name: "every event tries all blocked streams", file: "sdk/engine/dispatch.go",
		old: "tries = min(tries, blockedTries)", new: "tries = max(tries, blockedTries)",
		pkg: engine, run: "TestBlockedStreams",
	},
	{
		name: "a stream whose queue is not read sends packs", file: "sdk/engine/dispatch.go",
		old: "(e.cfg.Finality.Mode == finality.Queue && !st.watched)", new: "(e.cfg.Finality.Mode != finality.Queue && !st.watched)",
		pkg: engine, run: "TestStreamWhoseQueueIsNotRead",
	},
	{
		name: "any number of bytes waits for a writer", file: "sdk/engine/choose.go",
		old: "case c.unwritten >= maxUnwritten:", new: "case c.unwritten < 0:",
		pkg: engine, run: "TestNoMoreThanABound",
	},
	{
		name: "the busier of two connections takes the pack", file: "sdk/engine/choose.go",
		old: "list[j].inFlightBytes < list[i].inFlightBytes", new: "list[j].inFlightBytes > list[i].inFlightBytes",
		pkg: engine, run: "TestBusyConnection",
	},
	{
		name: "a refused pack goes to the same proxy again", file: "sdk/engine/choose.go",
		old: "if p.sends > 0 && c.endpoint == p.endpoint {", new: "if p.sends > 0 && c.endpoint != p.endpoint {",
		pkg: engine, run: "TestResendPrefers",
	},
	{
		name: "one refusal of a proxy pauses it", file: "sdk/engine/endpoint.go",
		old: "			ep.throttled, ep.throttledAt = true, now\n			return\n", new: "			ep.throttled, ep.throttledAt = true, now\n",
		pkg: engine, run: "TestRefusingProxy",
	},
	{
		name: "packs in flight when a proxy was full count as new refusals", file: "sdk/engine/endpoint.go",
		old: "		if sentAt < ep.throttledAt {\n			return", new: "		if sentAt < ep.throttledAt && false {\n			return",
		pkg: engine, run: "TestRefusalsOfOneRound",
	},
	{
		name: "a throttled proxy gets packs as before", file: "sdk/engine/endpoint.go",
		old: "return ep.throttled && slices", new: "return !ep.throttled && slices",
		pkg: engine, run: "TestRefusingProxy",
	},
	{
		name: "a trial that is acked late closes the breaker", file: "sdk/engine/endpoint.go",
		old: "case b.trial == p.seq && !inTime:", new: "case b.trial == p.seq && !inTime && false:",
		pkg: engine, run: "TestTrialThatIsAckedLate",
	},
	{
		name: "each refusal of one round makes the pause longer", file: "sdk/engine/breaker.go",
		old: "if b.pauses > 0 && sentAt < b.until {", new: "if b.pauses > 0 && sentAt < 0 {",
		pkg: engine, run: "TestBreakerGrows",
	},
	{
		name: "a breaker lets packs through while its trial is in flight", file: "sdk/engine/breaker.go",
		old: "	case b.trial != 0:\n		return Trial\n", new: "",
		pkg: engine, run: "TestBreakerGrows|TestStreamThatAProxyRefuses|TestRefusingProxy",
	},
	{
		name: "a stream that one proxy refuses goes on being sent there", file: "sdk/engine/dispatch.go",
		old: "	if b := p.stream.breakers[c.endpoint]; b != nil && b.pauses > 0 {\n", new: "	if b := p.stream.breakers[c.endpoint]; b != nil && b.pauses > 99 {\n",
		pkg: engine, run: "TestStreamThatAProxyRefuses",
	},
	{
		name: "no pack is isolated after a connection ended", file: "sdk/engine/isolate.go",
		old: "	p.isolated = oldest && taken\n", new: "	p.isolated = false\n",
		pkg: engine, run: "TestOldestUnanswered",
	},
	{
		name: "other packs join an isolated one on its connection", file: "sdk/engine/choose.go",
		old: "case c.epoch == p.avoid || c.reserved != nil:", new: "case c.epoch == p.avoid:",
		pkg: engine, run: "TestOldestUnanswered",
	},
	{
		name: "no heartbeat goes ahead of an isolated pack", file: "sdk/engine/dispatch.go",
		old: "		e.emit(Effect{Kind: Heartbeat, Conn: c})\n", new: "",
		pkg: engine, run: "TestOldestUnanswered",
	},
	{
		name: "a pack is cut after the first connection that it ended alone", file: "sdk/engine/isolate.go",
		old: "case len(r.endpoints) < 2 && (r.ends < 2 ||", new: "case len(r.endpoints) < 1 && (r.ends < 1 ||",
		pkg: engine, run: "TestPackIsCutAfter",
	},
	{
		name: "a record is given up after two connections that it ended", file: "sdk/engine/isolate.go",
		old: "case len(r.endpoints) < 2 || r.ends < poisonTries:", new: "case len(r.endpoints) < 2:",
		pkg: engine, run: "TestRecordThatEnds",
	},
	{
		name: "connections that we closed count against an isolated pack", file: "sdk/engine/isolate.go",
		old: "if c.byUs || !c.answers {", new: "if !c.answers {",
		pkg: engine, run: "TestConnectionsThatSayNothing",
	},
	{
		name: "the halves of a pack travel with others", file: "sdk/engine/isolate.go",
		old: "p.stream, p.endpoint, p.maybe, true\n", new: "p.stream, p.endpoint, p.maybe, false\n",
		pkg: engine, run: "TestPackIsCutAfter",
	},
	{
		name: "a whole pack that was cut and is seen ends only itself", file: "sdk/engine/isolate.go",
		old: "			e.confirm.Seen(finality.Pack(q.seq), now)\n", new: "			_ = now\n",
		pkg: engine, run: "TestWholePackSeen",
	},
	{
		name: "a whole pack is remembered for ever", file: "sdk/engine/isolate.go",
		old: "p.unended == 0 && p.state == Split {", new: "p.unended < 0 && p.state == Split {",
		pkg: engine, run: "TestCutPackIsForgotten",
	},
	{
		name: "one try too many", file: "sdk/engine/retry.go",
		old: "p.fails <= e.cfg.RetryLimit {", new: "p.fails <= e.cfg.RetryLimit+1 {",
		pkg: engine, run: "TestRetryLimit",
	},
	{
		name: "dials count as tries while another proxy is connected", file: "sdk/engine/endpoint.go",
		old: "slices.Contains(l.endpoints, ep) && !l.up()\n", new: "slices.Contains(l.endpoints, ep)\n",
		pkg: "./sdk/engine", run: "TestFailedDialsAreNoTries",
	},
	{
		name: "a pack that nobody wrote counts as tried", file: "sdk/engine/retry.go",
		old: "if taken && e.tryFailed(p, c.endpoint, nil, why) {", new: "if e.tryFailed(p, c.endpoint, nil, why) {",
		pkg: engine, run: "TestUnwrittenPack|TestRetryLimitCountsConnections",
	},
	{
		name: "a copy whose answer never came is not told as perhaps delivered", file: "sdk/engine/retry.go",
		old: "	p.maybe = p.maybe || taken\n", new: "",
		pkg: engine, run: "TestRetryLimitCountsConnections",
	},
	{
		name: "a connection is closed while a pack that it acked is not final", file: "sdk/engine/connection.go",
		old: "if c.inFlight > 0 || (c.acked > 0 &&", new: "if c.inFlight > 0 || (c.acked > 99 &&",
		pkg: engine, run: "TestDrainedConnection",
	},
	{
		name: "a damaged pack goes out on the same connection", file: "sdk/engine/refused.go",
		old: "		if e.drain(c); c.drainBy == 0 {\n", new: "		if c.drainBy == 0 {\n",
		pkg: engine, run: "TestDamagedPack",
	},
	{
		name: "a pack that one proxy refused stands before the others", file: "sdk/engine/refused.go",
		old: "	e.refused.single = append(e.refused.single, p)\n", new: "	e.enqueue(p)\n",
		pkg: engine, run: "TestOneProxyOfTwo",
	},
	{
		name: "the source's client sleeps until a rebalance after it missed a restart of its fetching", file: "connector/internal/consume/pending.go",
		old: "			c.Gates.Wake()\n			continue", new: "			continue",
		pkg: "./connector/internal/consume", run: "TestClientThatSleeps",
	},
	// Gate and condition: why a partition does not go on.
	{
		name: "a partition is resumed when the first of two reasons ends", file: "connector/internal/gate/condition.go",
		old: "c.closed = c.closed || entries[i].Closes", new: "c.closed = entries[i].Closes",
		pkg: gate, run: "TestPartitionIsPausedWhile|TestGateIsWhat",
	},
	{
		name: "a pause that an earlier assignment left stays", file: "connector/internal/gate/gate.go",
		old: "g.begun, g.paused = true, !g.cond.Load().closed", new: "g.begun, g.paused = true, false",
		pkg: gate, run: "TestPauseLeft",
	},
	{
		name: "a reason from before an assignment began does not pause it", file: "connector/internal/gate/gate.go",
		old: "g.begun, g.paused = true, !g.cond.Load().closed", new: "g.begun, g.paused = true, g.cond.Load().closed",
		pkg: gate, run: "TestReasonFromBefore|TestDrain",
	},
	{
		name: "late news of an old assignment pause the new one", file: "connector/internal/gate/gate.go",
		old: "if !g.begun || g.ended.Load() || closed == g.paused {", new: "if !g.begun || closed == g.paused {",
		pkg: gate, run: "TestLateNews|TestEnded",
	},
	{
		name: "the client is told of an assignment that it does not know", file: "connector/internal/gate/gate.go",
		old: "if !g.begun || g.ended.Load() || closed == g.paused {", new: "if g.ended.Load() || closed == g.paused {",
		pkg: gate, run: "TestReasonFromBefore",
	},
	{
		name: "each gate of a drain is told by itself", file: "connector/internal/gate/gate.go",
		old: "		g.putLocked(Entry{Key: k, Since: now, Closes: closes})\n	}\n	gs.tellLocked(list)", new: "		g.putLocked(Entry{Key: k, Since: now, Closes: closes})\n		gs.tellLocked([]*Gate{g})\n	}",
		pkg: gate, run: "TestManyGates",
	},
	{
		name: "a reason that never ends by itself is dropped", file: "connector/internal/gate/condition.go",
		old: "return !reason.KindOf(e.Code).Terminal && (", new: "return (",
		pkg: gate, run: "TestReasonThatNever",
	},
	{
		name: "a reason that is added again counts as new", file: "connector/internal/gate/gate.go",
		old: "		entries[i] = e\n	}\n	g.cond", new: "		entries[i], added = e, true\n	}\n	g.cond",
		pkg: gate, run: "TestReasonThatIsAddedAgain",
	},
	{
		name: "a reason that is added again begins anew", file: "connector/internal/gate/gate.go",
		old: "e.Since, e.Behind = entries[i].Since, entries[i].Behind", new: "e.Behind = entries[i].Behind",
		pkg: gate, run: "TestReasonThatIsAddedAgain",
	},
	{
		name: "a partition that has stopped is tried by reading on", file: "connector/internal/gate/gate.go",
		old: "if i < 0 || reason.KindOf(k.Code).Stops {", new: "if i < 0 {",
		pkg: gate, run: "TestReasonThatIsTried",
	},
	{
		name: "the stall detection closes a gate", file: "connector/internal/gate/gate.go",
		old: "f.found, f.Closes, f.Since = true, false, f.Behind", new: "f.found, f.Since = true, f.Behind",
		pkg: gate, run: "TestStallDetection",
	},
	{
		name: "the stall detection removes the reasons of others", file: "connector/internal/gate/gate.go",
		old: "if !e.found || !e.Behind.IsZero() {", new: "if !e.Behind.IsZero() {",
		pkg: gate, run: "TestStallDetection|TestGateIsWhat",
	},
	{
		name: "a reason that was only found stops the partition", file: "connector/internal/gate/condition.go",
		old: "if kind.Stops && !entries[i].found && (", new: "if kind.Stops && (",
		pkg: gate, run: "TestReasonThatIsOnlyFound",
	},
	{
		name: "a stop that may end hides one that never does", file: "connector/internal/gate/condition.go",
		old: "c.stop < 0 || kind.Terminal && !reason.KindOf(entries[c.stop].Code).Terminal", new: "c.stop < 0",
		pkg: gate, run: "TestStopThatNeverEnds",
	},
	{
		name: "the client is told outside the lock of the gates", file: "connector/internal/gate/gate.go",
		old: "	g.gates.mu.Lock()\n	defer g.gates.mu.Unlock()\n	added = g.putLocked(e)\n	g.gates.tellLocked([]*Gate{g})", new: "	g.gates.mu.Lock()\n	added = g.putLocked(e)\n	g.gates.mu.Unlock()\n	g.gates.tellLocked([]*Gate{g})",
		pkg: gate, run: "TestClientIsTold",
	},
	{
		name: "a list ends a reason that was set by itself", file: "connector/reason/board.go",
		old: "if old.Reason = r; !slices.Contains(old.sources, source) {\n		old.sources = append(old.sources, source)\n	}", new: "old.Reason, old.sources = r, []string{source}",
		pkg: "./connector/reason", run: "TestReplaceEnds",
	},
	{
		name: "a partition that goes on takes what was fetched before it stopped", file: "connector/internal/assign/position.go",
		old: "			e.Assignment.rewind = true\n", new: "",
		pkg: connector, run: "TestPartitionThatGoesOn",
	},
	{
		name: "only the first of two fetches is dropped when a partition goes on", file: "connector/internal/consume/poll.go",
		old: "				back = append(back, p)\n				continue", new: "				assign.Rewind([]*assign.Assignment{p}, pl.setOffsets)\n				continue",
		pkg: connector, run: "TestPartitionThatGoesOn",
	},
	{
		name: "more is parked behind a record that stops its partition", file: "connector/internal/assign/pending.go",
		old: "return n > 0 && q.chunks[n-1].stop != nil", new: "return n < 0",
		pkg: assigned, run: "TestNothingIsParkedBehind",
	},
	{
		name: "a half sent chunk is dropped when its partition stops", file: "connector/internal/assign/dispatch.go",
		old: "	case begun > 0:\n", new: "	case begun < 0:\n",
		pkg: assigned, run: "TestChunkThatIsHalfSentIsKept",
	},
	{
		name: "a gap is booked over records that wait for room", file: "connector/internal/assign/position.go",
		old: "	if len(p.pending.chunks) > 0 {\n		return false\n	}\n	from := p.expect", new: "	from := p.expect",
		pkg: assigned, run: "TestGapIsNotBooked",
	},
	{
		name: "a fault that comes again while it is taken for over is never tried", file: "connector/internal/consume/faults.go",
		old: "	began := p.Gate().Add(r, true)\n", new: "	as.Last, as.Told = now, !as.OutOfRange || old != nil && old.Told\n	p.Retry.Store(&as)\n	began := p.Gate().Add(r, true)\n",
		more: [][2]string{{"nobody tries again.\n	as.Last, as.Told = now, !as.OutOfRange || old != nil && old.Told\n	p.Retry.Store(&as)\n", "nobody tries again.\n"}},
		pkg:  consume, run: "TestFaultThatComesAgain",
	},
	{
		name: "a partition closed for its pieces is looked at by nobody", file: "connector/internal/assign/pending.go",
		old: "		p.mu.Lock() // or a note of a moment ago might say last that there is nothing to do\n		p.noteWaitsLocked()\n		p.mu.Unlock()\n", new: "		p.waits.Store(true)\n",
		pkg: assigned, run: "TestPartitionThatHoldsTooMany",
	},
	{
		name: "a partition goes on from a stream that the stall detection named", file: "connector/internal/consume/idle.go",
		old: "e.Own != nil || !e.Closes || p.Refused.Of", new: "e.Own != nil || p.Refused.Of",
		pkg: consume, run: "TestStreamThatTheStallDetection",
	},
	{
		name: "each stop of one cause is a line", file: "connector/internal/observe/observer.go",
		old: "pause := flushPauses.Next(e.pause)", new: "pause := flushPauses.Min",
		pkg: observe, run: "TestOneCauseIsAFewLines",
	},
	{
		name: "a partition that flaps is counted each time", file: "connector/internal/observe/events.go",
		old: "if _, again := e.seen[r.Object]; again {", new: "if false {",
		pkg: observe, run: "TestPartitionThatFlaps",
	},
	{
		name: "a shared cause that comes and goes is logged each time", file: "connector/internal/observe/observer.go",
		old: "case l != nil && now.Sub(l.told) >= tellPause:", new: "case l != nil:",
		pkg: observe, run: "TestSharedCause",
	},
	{
		name: "snapshots at the same time mix their reasons", file: "connector/internal/observe/observer.go",
		old: "	o.completing.Lock()\n	defer o.completing.Unlock()\n", new: "",
		pkg: observe, run: "TestSnapshots",
	},
	{
		name: "what is overdue is a stall without a reason", file: "connector/internal/observe/conditions.go",
		old: "e != nil && reason.KindOf(e.Code).Stuck != \"\" {", new: "e != nil {",
		pkg: observe, run: "TestRecordsThatWaitTooLong",
	},
	{
		name: "a record that was too large is never tried again", file: "connector/internal/assign/pending.go",
		old: "o.bytes <= o.stream.MaxRecord()", new: "false",
		pkg: connector, run: "TestRecordThatWasTooLarge",
	},
	{
		name: "a partition goes on at a record that is still too large", file: "connector/internal/assign/pending.go",
		old: "o.stream != nil && o.bytes <= o.stream.MaxRecord()", new: "o.stream != nil",
		pkg: connector, run: "TestRecordThatWasTooLarge",
	},
	{
		name: "a piece that proxies refuse stops nothing", file: "connector/internal/assign/refusal.go",
		old: "	if p.gate.Refer(k, time.Now(), true) {\n", new: "	if p.gate.Refer(k, time.Now(), false) && false {\n",
		pkg: connector, run: "TestPartitionsThatAreRefused",
	},
	{
		name: "a partition goes on while pieces of it are refused", file: "connector/internal/consume/idle.go",
		old: " || p.Refused.Of(e.Key) > 0 {", new: " {",
		pkg: connector, run: "TestPartitionsThatAreRefused",
	},
	// What alerts go by.
	{
		name: "the lag in time of a stopped partition ends at what was taken", file: "connector/internal/assign/times.go",
		old: "recs[n-1].Offset >= next {", new: "recs[n-1].Offset < 0 {",
		pkg: assigned, run: "TestLagInTimeOfAStopped",
	},
	{
		name: "records that are fetched again keep their old times", file: "connector/internal/assign/times.go",
		old: "n > r.passed && r.runs[n-1].first >= first", new: "n > r.passed && r.runs[n-1].first < 0",
		pkg: assigned, run: "TestLagInTimeAfterAPartitionWentBack",
	},
	{
		name: "the longer estimate of retention counts", file: "connector/internal/retention/retention.go",
		old: "byMoves < left", new: "byMoves > left",
		pkg: connector + "/internal/retention", run: "TestRetentionLeft",
	},
	{
		name: "a client's certificate expires with the last of its chain", file: "connector/internal/certs/certs.go",
		old: "authorities == cert.NotAfter.After(out)", new: "authorities || cert.NotAfter.After(out)",
		pkg: connector + "/internal/certs", run: "TestClientCertificateExpires",
	},
	{
		name: "a counter appears with its first value", file: "connector/internal/tally/tally.go",
		old: "		n[label] = 0\n", new: "		_ = label\n",
		pkg: connector, run: "TestKnownLabelValues",
	},
	{
		name: "a topic's partitions without a commit are left out of the sum", file: "connector/internal/observe/series.go",
		old: "		o.committed = p.Start\n", new: "		o.committed = 0\n",
		pkg: "./connector/internal/observe", run: "TestSeriesOfPartitions",
	},
	// Lineage.
	{
		name: "the lineage tells the position for the committed offset", file: "connector/internal/assign/trail.go",
		old: "o.Committed = p.checkpoint.Committed()", new: "o.Committed = p.checkpoint.Position()",
		pkg: assigned, run: "TestBatchesTell|TestCommittedOffset",
	},
	{
		name: "the lineage tells what is final for the committed offset", file: "connector/internal/assign/trail.go",
		old: "o.Committed = p.checkpoint.Committed()", new: "o.Committed = p.checkpoint.Checkpoint()",
		pkg: assigned, run: "TestBatchesTell|TestCommittedOffset",
	},
	{
		name: "the lineage tells a committed offset that proves nothing", file: "connector/internal/assign/trail.go",
		old: "p.Lineage == WithCommitted {", new: "true {",
		pkg: assigned, run: "TestBatchesTell",
	},
	{
		name: "the second part of a batch tells the offsets of the first", file: "connector/internal/assign/requeued.go",
		old: "p.tellOrigins(o, g.offsets[g.sent:])", new: "p.tellOrigins(o, g.offsets)",
		pkg: assigned, run: "TestBatchesTell",
	},
	{
		name: "records that are read again tell no source", file: "connector/internal/assign/outlet.go",
		old: "origins := p.origins(); origins != nil", new: "origins := p.origins(); false",
		pkg: assigned, run: "TestBatchesTell",
	},
	{
		name: "the second half of a piece tells the offsets of the first", file: "connector/internal/replay/planner.go",
		old: "Offsets: got.offsets[from:to],", new: "Offsets: got.offsets,",
		pkg: connector, run: "TestOneRecordThatProxies",
	},
	{
		name: "half of a cut pack has the whole's trail", file: "sdk/trail.go",
		old: "part, err := s.o.trails.Cut(string(text), p.count, from, from+n)", new: "part, err := string(text), error(nil)",
		pkg: sender, run: "TestEachPackNames",
	},
	{
		name: "records that the trail has no room for stay in the pack", file: "sdk/trail.go",
		old: "for _, r := range records[n:] {", new: "for _, r := range records[:0] {",
		pkg: sender, run: "TestEachPackNames",
	},
	{
		name: "records without a trail share packs with those that have one", file: "sdk/batch.go",
		old: "trail: b.Trail != nil && s.o.trails != nil,", new: "trail: s.o.trails != nil,",
		pkg: sender, run: "TestEachPackNames",
	},
	{
		name: "a trail may fill more than the attributes may take", file: "sdk/trail.go",
		old: "min(maxTrail, maxAttrs-others-len(trailKey))", new: "max(maxTrail, maxAttrs-others-len(trailKey))",
		pkg: sender, run: "TestTrailLeavesRoom",
	},
	{
		name: "the longest record leaves no room for its trail", file: "sdk/stream.go",
		old: "		room -= len(trailKey) + leastTrail\n", new: "",
		pkg: sender, run: "TestLongestRecordHasATrail",
	},
	{
		name: "a part of a part of a pack begins where the whole does", file: "connector/lineage/read.go",
		old: "h.skip+uint64(from)", new: "uint64(from)",
		pkg: lineage, run: "TestEveryRecordIsTold",
	},
	{
		name: "a lineage may tell of more records than the pack has", file: "connector/lineage/read.go",
		old: "want != records ||", new: "want < records ||",
		pkg: lineage, run: "TestEveryRecordIsTold",
	},
	{
		name: "what did not fit into a lineage stays in its gaps", file: "connector/lineage/write.go",
		old: "			b.written = before\n", new: "			b.open.n = before.open.n\n",
		pkg: lineage, run: "TestEveryRecordIsTold",
	},
	{
		name: "a committed offset counts in other partitions of the queue", file: "connector/lineage/dedupe.go",
		old: "offset < s.committed[q]:", new: "offset < max(s.committed[q], s.committed[0]):",
		pkg: lineage, run: "TestFirstCopies|TestCommittedOffset",
	},
	{
		name: "a requeued record below the committed offset is a repeat", file: "connector/lineage/dedupe.go",
		old: "!requeued && offset < s.committed[q]", new: "offset < s.committed[q]",
		pkg: lineage, run: "TestFirstCopies|TestCommittedOffset",
	},
	{
		name: "offsets that the limit forgot count as never taken", file: "connector/lineage/dedupe.go",
		old: "	most.floor = max(most.floor, floor)\n", new: "",
		pkg: lineage, run: "TestFirstCopies",
	},
	{
		name: "offsets are forgotten above the smallest committed offset", file: "connector/lineage/dedupe.go",
		old: "floor = min(floor, c)", new: "floor = max(s.floor, c)",
		pkg: lineage, run: "TestFirstCopies",
	},
	// The comparison of two benches.
	{
		name: "a slower row passes because some rounds were faster", file: "deploy/dev/bench/compare.go",
		old: "	case below && q.Q3 < 1:\n", new: "	case below && slices.Max(ratios) < 1:\n",
		pkg: bench, run: "TestJudgeFollowsTheRule",
	},
	{
		name: "a row that is undecided counts as the same", file: "deploy/dev/bench/compare.go",
		old: "	case above && rising == worse, below && falling == worse:\n", new: "	case false:\n",
		pkg: bench, run: "TestJudgeFollowsTheRule",
	},
	{
		name: "allocations may rise by as much as CPU", file: "deploy/dev/bench/compare.go",
		old: "	case median > resolution && quantile(v, 0.1) > 0:\n", new: "	case median > resolution && median > mostCPU && quantile(v, 0.1) > 0:\n",
		pkg: bench, run: "TestJudge",
	},
	{
		name: "old and new are compared across rounds", file: "deploy/dev/bench/compare.go",
		old: "return p.New.Rate / p.Old.Rate })", new: "return p.New.Rate / pairs[0].Old.Rate })",
		pkg: bench, run: "TestRatiosPair",
	},
	{
		name: "a comparison with a worse row ends with exit code 0", file: "deploy/dev/bench/compare.go",
		old: "	if names := named[worse]; len(names) > 0 {\n", new: "	if names := named[worse]; len(names) > len(rows) {\n",
		pkg: bench, run: "TestComparison",
	},
	// Ends of conditions.
	{
		name: "a migration does not fetch again what a stop gave back", file: "connector/internal/assign/dispatch.go",
		old: "	if p.expect < p.Limit {\n", new: "	if false {\n",
		pkg: assigned, run: "TestMigrationFetchesAgain",
	},
	{
		name: "a stream that has room again is named as full", file: "connector/internal/assign/dispatch.go",
		old: "					p.gate.Drop(e.Key) // that stream had room", new: "					break // that stream had room",
		pkg: assigned, run: "TestOnlyTheStreamThatIsFull",
	},
	{
		name: "a drain waits for what is parked behind a stop", file: "connector/internal/consume/table.go",
		old: "			stuck, chunks = stuck+chunks, 0\n", new: "",
		pkg: consume, run: "TestDrainDoesNotWait",
	},
	{
		name: "a stream that the budget has no room for is a record without a rule", file: "connector/internal/route/route.go",
		old: "	if errors.Is(err, sdk.ErrTooManyStreams) {", new: "	if false {",
		pkg: route, run: "TestStreamThatTheBudget",
	},
	{
		name: "reasons that a look found outlast the looks", file: "connector/internal/observe/observer.go",
		old: "		o.board.Replace(\"stalls\", nil)\n", new: "",
		pkg: "./connector/internal/observe", run: "TestDrainEndsTheReasons",
	},
	{
		name: "a message is sent though its context has ended", file: "sdk/message.go",
		old: "		if ctx.Err() != nil {\n			return notSent(ctx, \"message\", m.Stream)\n		}\n", new: "",
		pkg: sender, run: "TestContextThatHasEndedSendsNothing",
	},
	{
		name: "a batch is sent though its context has ended", file: "sdk/batch.go",
		old: "		if ctx.Err() != nil {\n			return n, notSent(ctx, \"batch\", b.Stream)\n		}\n", new: "",
		pkg: sender, run: "TestContextThatHasEndedSendsNothing",
	},
	{
		name: "a message's Meta does not come back", file: "sdk/token.go",
		old: "	r.Meta = c.meta\n", new: "",
		pkg: sender, run: "TestMetaComesBackWhateverBecomesOfAMessage",
	},
	{
		name: "a module path that nobody can fetch is taken", file: "deploy/dev/module/main.go",
		old: "	if err := checkPath(to); err != nil {\n		return err\n	}\n", new: "",
		pkg: "./deploy/dev/module", run: "TestPathThatCannotBeFetchedChangesNothing",
	},
	{
		name: "a refused piece that is forgotten stops its partition for ever", file: "connector/internal/assign/facts.go",
		old: "	f.refusalEnded(pc) // the sender may drop its pack without a word\n", new: "",
		pkg: assigned, run: "RefusedPieceThatIsForgotten",
	},
	{
		name: "an old connection is closed with what is in flight on it", file: "sdk/lifetime.go",
		old: "	s.e.Retire(&old.life)\n", new: "	s.e.WriteFailed(&old.life, false, \"old\")\n",
		pkg: sender, run: "TestConnectionsAreReplacedAtTheirLifetime",
	},
	{
		name: "a connection is replaced by one that answered nothing", file: "sdk/lifetime.go",
		old: "s.connectedLocked(c.ep, nc, true, false, first)", new: "s.connectedLocked(c.ep, nc, false, false, first)",
		pkg: sender, run: "TestConnectionThatAnswersNothingReplacesNone",
	},
	{
		name: "connections that wait for what they acked add up", file: "sdk/lifetime.go",
		old: "				continue // the one before", new: "				// the one before",
		pkg: sender, run: "TestConnectionOutlivesItsLifetime",
	},
	{
		name: "a retired connection takes packs", file: "sdk/engine/connection.go",
		old: "func (e *Engine) Retire(c *Conn) { e.drain(c) }", new: "func (e *Engine) Retire(c *Conn) { e.draining = append(e.draining, c) }",
		pkg: "./sdk/engine", run: "TestRetiredConnection",
	},
	{
		name: "a renewed proxy counts as one that came back", file: "sdk/engine/connection.go",
		old: "		if !c.Renews {\n", new: "		if true {\n",
		pkg: "./sdk/engine", run: "TestRetiredConnection",
	},
	{
		name: "a proxy that fails for long keeps its place", file: "sdk/internal/choice/choice.go",
		old: "	if worst < 0 || reserve == 0 {\n", new: "	if true {\n",
		pkg: sender, run: "TestLastProxyThatFails",
	},
	{
		name: "a proxy that was passed over has its place before it can be used", file: "sdk/internal/choice/choice.go",
		old: "		if !all[i].proving {\n", new: "		if true {\n",
		pkg: "./sdk/internal/choice", run: "TestProxyThatWasPassedOver",
	},
	{
		name: "all senders choose the same proxies", file: "sdk/internal/choice/choice.go",
		old: "h.Sum64() ^ seed", new: "h.Sum64() ^ 1 + 0*seed",
		pkg: "./sdk/internal/choice", run: "TestSendersSpread",
	},
	{
		name: "a copy that was rejected hides which proxy stored the next one", file: "sdk/finality/pack.go",
		old: "		p.copies = 0\n", new: "",
		pkg: "./sdk/finality", run: "TestZombieIsOpenedByAPackThatAnother",
	},
	{
		name: "nobody says that a rejected copy was not stored", file: "sdk/engine/refused.go",
		old: "		e.confirm.NotStored(finality.Pack(p.seq))\n", new: "",
		pkg: "./sdk/engine", run: "TestRejectedCopyDoesNotHide",
	},
	// What the model test drives: dispatch, breakers, isolation, retries, and the planning of what is read again.
	{
		name: "an encoded pack waits until something else happens to its stream", file: "sdk/engine/pack.go",
		old: "	p.stream.counts.WireBytes += uint64(wire)\n	e.makeRunnable(p.stream, p.lane())\n", new: "	p.stream.counts.WireBytes += uint64(wire)\n",
		pkg: model,
	},
	{
		name: "a pack that was handed over stays in its queue", file: "sdk/engine/dispatch.go",
		old: "	q.pop()\n	e.hand(p, c, now)\n", new: "	e.hand(p, c, now)\n",
		pkg: model,
	},
	{
		name: "a pack can be answered by a connection that it left", file: "sdk/engine/dispatch.go",
		old: "	delete(c.table, uint32(p.seq))\n", new: "",
		pkg: model,
	},
	{
		name: "a trial that was never answered keeps a proxy closed", file: "sdk/engine/dispatch.go",
		old: "	c.endpoint.breaker.trialOver(p.seq)\n", new: "",
		pkg: model,
	},
	{
		name: "a trial that was never answered keeps a stream from a proxy", file: "sdk/engine/dispatch.go",
		old: "	p.stream.breakers[c.endpoint].trialOver(p.seq)\n", new: "",
		pkg: model,
	},
	{
		name: "the pause of a breaker is over at once", file: "sdk/engine/breaker.go",
		old: "	b.until, b.reason, b.late = now+e.pause(pauses, b.pauses), reason, false\n", new: "	b.until, b.reason, b.late = now, reason, false\n",
		pkg: model,
	},
	{
		name: "an isolated pack does not wait for an empty connection", file: "sdk/engine/choose.go",
		old: "if best != nil && p.isolated && best.inFlight > 0 {", new: "if false {",
		pkg: model,
	},
	{
		name: "the second half of a pack is forgotten", file: "sdk/engine/isolate.go",
		old: "	e.enqueue(second)\n", new: "",
		pkg: model,
	},
	{
		name: "a pack that cannot be cut is forgotten", file: "sdk/engine/isolate.go",
		old: "	if p.state == Waiting { // else", new: "	if p.state == Held { // else",
		pkg: engine, run: "TestPackThatCannotBeCut",
	},
	// What proxies do not take: asked about, cut, taken back, or given up.
	{
		name: "proxies that refuse everything turn each pack into single records at once", file: "sdk/engine/judge.go",
		old: "return t.records == 0 || p.Records < t.records || now >= t.until", new: "return true",
		pkg: engine, run: "TestOneRefusedPackOfAStream",
	},
	{
		name: "a refused pack waits for ever for the one before it", file: "sdk/engine/judge.go",
		old: "p.Records < t.records || now >= t.until", new: "p.Records < t.records",
		pkg: engine, run: "TestOneRefusedPackOfAStream",
	},
	{
		name: "a pack that is taken back is not remembered", file: "sdk/engine/judge.go",
		old: "if p.Followed && e.cfg.Finality.Mode == finality.Queue {", new: "if false && e.cfg.Finality.Mode == finality.Queue {",
		pkg: engine, run: "TestTakenBackPackThatIsSeen",
	},
	{
		name: "a pack that was taken back is remembered for ever", file: "sdk/engine/pack.go",
		old: "		e.confirm.Drop(finality.Pack(p.seq), now) // it was taken back\n", new: "",
		pkg: engine, run: "TestTakenBackPackThatIsSeen",
	},
	{
		name: "a pack that is seen while its token is asked is given up", file: "sdk/engine/judge.go",
		old: "	if p.state != Waiting {\n		return // it was seen", new: "	if p.state == Held {\n		return // it was seen",
		pkg: engine, run: "TestPackThatIsSeenWhile",
	},
	{
		name: "a suspect goes out before its queue is watched", file: "sdk/engine/dispatch.go",
		old: "now < p.notBefore || e.cfg.Finality.Mode == finality.Queue && !p.stream.watched {", new: "now < p.notBefore {",
		pkg: engine, run: "TestPackThatComesAlone",
	},
	{
		name: "connections that a suspect ends pause their proxy", file: "sdk/finality/endpoint.go",
		old: "c.settled || c.blamed {", new: "c.settled {",
		pkg: engine, run: "TestConnectionsThatASuspect",
	},
	{
		name: "the first piece decides about a whole refused pack", file: "sdk/judge.go",
		old: "len(pieces) == 1 && int(pieces[0].to-pieces[0].from) == p.count, now)", new: "true, now)",
		pkg: sender, run: "TestOnlyThePieceThatIsKept",
	},
	{
		name: "what comes alone shares its pack", file: "sdk/batch.go",
		old: "case !p.fits(0) || b.Alone && i == n:", new: "case !p.fits(0):",
		pkg: sender, run: "TestRecordsThatComeAlone",
	},
	{
		name: "a refused piece is given up although the policy is to stop", file: "connector/internal/assign/refusal.go",
		old: "class == mapping.ClassRefused && p.Topic.Mapping.OnError(class) == mapping.PolicyStop && !p.lookFor(o):", new: "class == mapping.ClassRefused && false:",
		pkg: "./connector/internal/assign", run: "TestPolicyDecides",
	},
	{
		name: "a record that was seen in another pack stops its partition when it is refused", file: "connector/internal/assign/refusal.go",
		old: "	o, ok := p.checkpoint.Undecided(pc)\n", new: "	o, ok := p.checkpoint.Origin(pc)\n",
		pkg: "./connector/internal/assign", run: "TestTakenBackPiece",
	},
	{
		name: "a piece that is taken back comes whole again", file: "connector/internal/replay/halve.go",
		old: "t.halve && left > 0 {", new: "t.halve && left < 0 {",
		pkg: "./connector/internal/assign", run: "TestPiecesAreHalved",
	},
	{
		name: "lost pieces wait for all that are halved", file: "connector/internal/replay/halve.go",
		old: "|| p.halved[id] && len(halved) < len(tasks) {", new: "|| false {",
		pkg: "./connector/internal/assign", run: "TestHalvedAndLost",
	},
	{
		name: "a pack that a silent connection took is forgotten", file: "sdk/engine/retry.go",
		old: "		e.enqueue(p)\n		return\n	}\n	if taken && e.try", new: "		return\n	}\n	if taken && e.try",
		pkg: model,
	},
	{
		name: "packs are given up without a limit of retries", file: "sdk/engine/retry.go",
		old: "if e.cfg.RetryLimit == NoRetryLimit || p.fails", new: "if p.fails",
		pkg: model,
	},
	{
		name: "a pack that waits for a second proxy is forgotten", file: "sdk/engine/refused.go",
		old: "			return false\n		}\n		e.enqueue(p)\n		return true\n", new: "			return false\n		}\n		return true\n",
		pkg: model,
	},
	{
		name: "a lost record is skipped where the sender had no room", file: "connector/internal/replay/planner.go",
		old: "		t.from = got.offsets[n]\n", new: "		t.from = got.offsets[n] + 1\n",
		pkg: model,
	},
	{
		name: "a lost piece counts as read before the end of its range", file: "connector/internal/replay/planner.go",
		old: "	if t.from <= t.origin.Last {\n		return taskOpen\n	}\n	class", new: "	class",
		pkg: model,
	},
	{
		name: "a lost piece whose partition cannot be read is forgotten", file: "connector/internal/replay/planner.go",
		old: "		t.backOff(now, errorPauses)\n	}\n}", new: "		p.done(t)\n	}\n}",
		pkg: model,
	},
	{
		name: "the first record behind a gap is not read again", file: "connector/internal/replay/planner.go",
		old: "t.gone, t.from = true, x.Start\n", new: "t.gone, t.from = true, x.Start+1\n",
		pkg: model + " " + assigned,
	},
	{
		name: "lost records that compaction took are booked as lost", file: "connector/internal/replay/planner.go",
		old: "	if t.gone {\n", new: "	if !t.gone {\n",
		pkg: model,
	},
	{
		name: "a commit whose answer was lost counts as taken", file: "connector/internal/commit/offer.go",
		old: "EndCommit(taken)", new: "EndCommit(true)",
		pkg: model,
	},
	{
		name: "a batch that was taken in parts is offered from its beginning", file: "connector/internal/assign/dispatch.go",
		old: "		g.sent += n\n", new: "		g.sent = n\n",
		pkg: model,
	},
	{
		name: "a start that the coordinator refused counts as committed", file: "connector/internal/commit/offer.go",
		old: "TookStart(taken)", new: "TookStart(true)",
		pkg: committing, run: "TestStartThatTheCoordinatorRefused",
	},
	{
		name: "what waits behind a chunk that is half sent is skipped after a stop", file: "connector/internal/assign/dispatch.go",
		old: "		p.expect = p.pending.chunks[begun-1].next\n", new: "",
		pkg: model,
	},
	// What travels with a record.
	{
		name: "records that are read again lose their attributes", file: "connector/internal/assign/outlet.go",
		old: "Attrs: b.Attrs, PackAttrs", new: "PackAttrs",
		pkg: assigned,
	},
	{
		name: "packs of what is read again lose the attributes of their rule", file: "connector/internal/assign/outlet.go",
		old: " PackAttrs: p.packAttrs(b.From),", new: "",
		pkg: assigned,
	},
	{
		name: "a record that was set aside for its content is sent with a lost piece", file: "connector/internal/replay/task.go",
		old: "if body.Aside {", new: "if false {",
		pkg: assigned,
	},
	{
		name: "records of the second half of a group get the attributes of the first", file: "connector/internal/assign/dispatch.go",
		old: "g.attrs[o.base:end]", new: "g.attrs[:end-o.base]",
		pkg: assigned,
	},
	{
		name: "the second half of a piece gets the attributes of the first", file: "connector/internal/replay/task.go",
		old: "return p.attrs[from:to]", new: "return p.attrs[:to-from]",
		pkg: assigned,
	},
	{
		name: "an own pack is not known under an envelope", file: "connector/internal/replay/planner.go",
		old: "got.values, got.offsets", new: "got.payloads, got.offsets",
		pkg: assigned,
	},
	{
		name: "an empty key becomes none", file: "connector/forwarded/attrs.go",
		old: "if f.Key && r.Key != nil {", new: "if f.Key && len(r.Key) > 0 {",
		pkg: forwards,
	},
	{
		name: "forwarded headers have no limit", file: "connector/forwarded/attrs.go",
		old: "size > MaxHeaders {", new: "size > 1<<30 {",
		pkg: forwards,
	},

	// Requeue.
	{
		name: "a requeue commits past an original that is not acknowledged", file: "connector/requeue_source.go",
		old: "		upTo = from[failed].Offset\n", new: "",
		pkg: connector, run: "TestToSourceCommitsOnlyPastWhatIsAcknowledged",
	},
	{
		name: "a requeue passes over what is no letter", file: "connector/internal/requeue/reader.go",
		old: "case l.Verdict == Unreadable && !l.skip:", new: "case false:",
		pkg: connector, run: "TestWhatIsNoLetterStops",
	},
	{
		name: "what is no letter becomes one", file: "connector/internal/assign/aside.go",
		old: "l != nil && l.Verdict != requeue.Chosen {", new: "l != nil && false {",
		pkg: connector, run: "TestWhatIsNoLetterStops",
	},
	{
		name: "a letter that fails again names its place in the dead-letter topic", file: "connector/internal/assign/aside.go",
		old: "		l = old.Again(w.attempts)\n", new: "		l.Attempts = old.Attempts + 1\n",
		pkg: connector, run: "TestLetterThatFailsAgainIsALetterAgain",
	},
	{
		name: "all choices of letters share their progress", file: "connector/requeue.go",
		old: "		suffix += \".\" + name\n", new: "		_ = name\n",
		pkg: connector, run: "TestChoicesHaveTheirOwnProgress",
	},
	{
		name: "the newest letter of a record is taken for an older one", file: "connector/internal/requeue/newest.go",
		old: "known && at > r.Offset", new: "known && at >= r.Offset",
		pkg: connector + "/internal/requeue",
	},
	{
		name: "a letter that cannot be delivered takes the place of one that can", file: "connector/internal/requeue/newest.go",
		old: "err != nil || l.Last != l.Offset", new: "err != nil || l.Last < l.Offset",
		pkg: connector + "/internal/requeue", run: "TestNewestLetterIsTheOnlyOne",
	},
	{
		name: "a batch of a requeue has originals of several partitions", file: "connector/internal/assign/requeued.go",
		old: "l != nil && l.Verdict == requeue.Chosen && !l.SameHome(c.from)", new: "l != nil && false",
		pkg: connector, run: "TestRequeuedPacksTell",
	},
	{
		name: "requeued records that are read again tell their place in the dead-letter topic", file: "connector/internal/assign/outlet.go",
		old: "if b.From != nil {", new: "if b.From != nil && false {",
		pkg: connector, run: "TestRequeuedPacksTell",
	},
	{
		name: "letters are not opened where they are read again", file: "connector/clientopts.go",
		old: "opts = append(opts, kgo.WithHooks(b.requeue.reader))", new: "if b.direct != nil {\n\t\t\topts = append(opts, kgo.WithHooks(b.requeue.reader))\n\t\t}",
		pkg: connector, run: "TestRequeuedPacksThatAProxyLoses",
	},

	// The proof by the queue.
	{
		name: "what came after the queue's oldest message counts as deleted by retention", file: "connector/verify/account.go",
		old: "case d.Expired != \"\" && late == 0:", new: "case d.Expired != \"\":",
		pkg: "./connector/verify",
	},
	{
		name: "a verification believes the books that a record is a gap", file: "connector/verify/account.go",
		old: "missing := max(bySource, byBooks)", new: "missing := byBooks",
		pkg: "./connector/verify",
	},
	{
		name: "a requeued letter stands for a record that is missing", file: "connector/verify/account.go",
		old: "lettersMissing - requeuedUntold", new: "lettersMissing",
		pkg: "./connector/verify",
	},
	{
		name: "packs of another group without lineage explain what is missing", file: "connector/ledgerqueue.go",
		old: "case origin != \"\" && origin != v.origin, src", new: "case origin == \"x\", src",
		pkg: connector, run: "Verify",
	},
	{
		name: "retention of the queue is no doubt", file: "connector/ledgerverify.go",
		old: "d.Expired = v.expired", new: "_ = v.expired",
		pkg: connector, run: "Verify",
	},
	{
		name: "records are missing before the queue's older messages were read", file: "connector/ledgerread.go",
		old: "read, err := v.readOlder(ctx)\n	if err != nil || !read {", new: "read, err := false, error(nil)\n	if err != nil || !read {",
		pkg: connector, run: "TestVerdictIsThatOfTheWholeQueue",
	},
	{
		name: "older packs cannot change a verdict that counts letters by number", file: "connector/verify/account.go",
		old: "a.dead.Len() >= a.Books.Dead && a.Judge", new: "a.Judge",
		pkg: connector, run: "TestVerdictIsThatOfTheWholeQueue",
	},
	{
		name: "the queue's first message is the one where reading began", file: "connector/ledgerread.go",
		old: "	if !p.first.IsZero() {", new: "	if r.first.IsZero() {",
		pkg: connector, run: "TestVerdictIsThatOfTheWholeQueue",
	},
	{
		name: "what was found in older messages is missing all the same", file: "connector/verify/account.go",
		old: "	a.records.Clear()\n", new: "",
		pkg: connector, run: "TestVerdictIsThatOfTheWholeQueue",
	},
	{
		name: "messages of a Pulsar reader that reconnected are browsed", file: "connector/confirm/pulsar/browse.go",
		old: "if cause := context.Cause(ctx); cause != nil {", new: "if cause := context.Cause(ctx); cause != nil && err != nil {",
		pkg: "./connector/confirm/pulsar", run: "Brows",
	},
	{
		name: "what expired while a topic was browsed is passed over in silence", file: "connector/confirm/kafka/browse.go",
		old: "return b.lacks(start, confirm.ErrExpired)", new: "b.u.Next = start\n	return nil",
		pkg: "./connector/confirm/kafka", run: "Brows",
	},
	// Dead letters.
	{
		name: "a dead letter is final before its topic has it", file: "connector/internal/assign/aside.go",
		old: "			p.write(pc, x.rec, x.waiting)\n", new: "			p.write(pc, x.rec, x.waiting)\n			p.checkpoint.SetAside(pc, checkpoint.Quarantined)\n",
		pkg: assigned,
	},
	{
		name: "a dead letter that failed counts as written", file: "connector/internal/assign/aside.go",
		old: "	if err == nil {\n		p.endAside", new: "	if err == nil || w.failed {\n		p.endAside",
		pkg: assigned,
	},
	{
		name: "a late acknowledgement of a dead letter moves an assignment that has ended", file: "connector/checkpoint/aside.go",
		old: "	i, ok := p.pieces.find(pc)\n	if !ok || p.pieces.at(i).condition == final || p.settled(i) {\n		return false\n	}\n",
		new: "	i, ok := p.pieces.find(pc)\n	if !ok {\n		p.checkpoint = p.position\n		return true\n	}\n	if p.pieces.at(i).condition == final || p.settled(i) {\n		return false\n	}\n",
		pkg: assigned + " " + checkpoint,
	},
	{
		name: "a record that became a dead letter counts as delivered", file: "connector/checkpoint/aside.go",
		old: "	return records - quarantined - skipped - byHand\n", new: "	return records\n",
		pkg: checkpoint,
	},
	{
		name: "the limit of dead letters is not looked at", file: "connector/internal/letters/rate.go",
		old: "return r.Limit > 0 && letters > int64(r.Limit) && letters*100 > records*percent, letters, records", new: "return false, letters, records",
		pkg: letters + " " + assigned,
	},
	{
		name: "the limit of dead letters looks at the share alone", file: "connector/internal/letters/rate.go",
		old: "letters > int64(r.Limit) && letters*100", new: "letters*100",
		pkg: letters,
	},
	{
		name: "a dead letter without an answer counts as written", file: "connector/kafkaclient/produce.go",
		old: "		errs[i] = errors.New(\"the client gave no answer\")", new: "		errs[i] = errors.Join()",
		pkg: letters,
	},
	{
		name: "letters need a producer id", file: "connector/internal/letters/letters.go",
		old: "kgo.DisableIdempotentWrite(), ", new: "",
		pkg: letters, run: "TestLettersNeedNoProducerID",
	},

	// Batches that cannot be read.
	{
		name: "one fetch by hand is enough to give a batch up", file: "connector/internal/consume/undecodable.go",
		old: "const looks = 4", new: "const looks = 1",
		pkg: connector, run: "TestDamagedReads",
	},
	{
		name: "a batch that is other bytes each time is given up", file: "connector/internal/assign/undecodable.go",
		old: "if d.at == next.at && d.sum == next.sum {", new: "if d.at == next.at {",
		pkg: assigned, run: "SameBytes",
	},
	{
		name: "a batch is passed over although what lies before it waits", file: "connector/internal/assign/undecodable.go",
		old: "p.expect != at || len(p.pending.chunks) > 0 {", new: "p.expect != at {",
		pkg: assigned, run: "TestUndecodableBatch",
	},
	{
		name: "a damaged header says where the next batch begins", file: "connector/internal/source/batch.go",
		old: "case follows.sound && (h.next < 0 || follows.base < h.next):", new: "case follows.sound && h.next < 0:",
		pkg: brokers, run: "TestDamage|TestBroken",
	},
	{
		name: "a damaged header says where the log ends", file: "connector/internal/source/batch.go",
		old: "case h.counts:", new: "case h.next >= 0:",
		pkg: brokers, run: "TestDamage|TestBroken",
	},
	{
		name: "the client goes on behind a batch that it could not decode", file: "connector/internal/consume/undecodable.go",
		old: "		p.GoBack(w.setOffsets)\n		return true", new: "		return true",
		more: [][2]string{{"	p.Distrust()\n", ""}},
		pkg:  connector, run: "TestDamagedReads",
	},

	// Records skipped by hand.
	{
		name: "a skip by hand is for every record of its partition", file: "connector/internal/byhand/byhand.go",
		old: "return s != nil && s.Offset == offset", new: "return s != nil",
		pkg: connector, run: "ByHand|SkipOfAny|OnlyTheNamed",
	},
	{
		name: "a skip by hand of another topic of the name takes effect", file: "connector/internal/byhand/byhand.go",
		old: "	case s.ID != topic:", new: "	case false:",
		pkg: connector, run: "ByHand|SkipOfAny|OnlyTheNamed",
	},
	{
		name: "what a person skips counts as skipped by policy", file: "connector/checkpoint/aside.go",
		old: "		a.byHand = x.origin.Records", new: "		a.skipped = x.origin.Records",
		pkg: checkpoint,
	},
	{
		name: "what a person skips of a fetch is in no book", file: "connector/internal/assign/dispatch.go",
		old: "		p.checkpoint.Count(b.span, checkpoint.ByHand, b.byHand)\n", new: "",
		pkg: connector, run: "ByHand|SkipOfAny|OnlyTheNamed",
	},
}
