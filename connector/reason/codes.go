package reason

import "slices"

// Code names a cause. Codes are an interface: metrics, alerts and runbooks match them.
type Code string

// Causes that stop a partition, or keep it waiting, because of what it holds.
const (
	Unrouted       Code = "unrouted"
	TooLarge       Code = "too_large"
	Refused        Code = "refused"
	Poison         Code = "poison"
	Undecodable    Code = "undecodable"
	LetterTopic    Code = "dead_letter_topic"
	LetterLimit    Code = "dead_letter_limit"
	LetterWait     Code = "dead_letter_wait"
	Gap            Code = "gap"
	Truncated      Code = "truncated"
	Recreated      Code = "recreated"
	Deleted        Code = "deleted"
	NoStart        Code = "no_start"
	Loop           Code = "loop"
	TooManyStreams Code = "too_many_streams"
	Unbalanced     Code = "unbalanced"
	Fault          Code = "fault"
	NotFetched     Code = "not_fetched"
	Transaction    Code = "transaction"
	Overdue        Code = "overdue"
	MaxUnfinal     Code = "max_unfinal"
	AtEnd          Code = "at_end"
	Order          Code = "order"
)

// Causes of streams, proxies and queue clusters.
const (
	StreamFull    Code = "stream"
	StreamStalled Code = "route"
	UnknownStream Code = "unknown_stream"
	NotInQueue    Code = "not_in_queue"
	WrapType      Code = "wrap_type"
	Endpoint      Code = "endpoint"
	WindowFull    Code = "window"
	Queue         Code = "queue"
)

// Causes of the group and the process.
const (
	Rebalance     Code = "rebalance"
	Commit        Code = "commit"
	Source        Code = "source"
	MissingTopics Code = "missing_topics"
	Unmatched     Code = "unmatched_pattern"
	Hung          Code = "hung"
	Starting      Code = "starting"
	Draining      Code = "draining"
	Budget        Code = "budget"
	Rate          Code = "rate"
	NoProxy       Code = "no_proxy"
	NoAck         Code = "no_ack"
	NotSeen       Code = "not_seen"
	Reread        Code = "reread"
	Discovery     Code = "discovery"
	RestartNeeded Code = "restart_needed"
)

// Severity says whom a cause concerns.
type Severity string

// The severities. An alert has the severity of its code.
const (
	Page   Severity = "page"   // records do not move until a person acts
	Ticket Severity = "ticket" // a person should look within days
	Info   Severity = "info"   // it passes, or is meant
)

// Kind is what holds for all reasons of a code.
type Kind struct {
	Code     Code
	Scopes   []Scope
	Severity Severity
	Terminal bool   // never ends by itself within an assignment, whatever the log or the proxies look like later
	Stops    bool   // the partition is stopped: nothing of it is fetched or sent until the reason ends
	Strict   bool   // /readyz?strict=1 reports it
	Stuck    string // value of the label reason of partition_stuck, "" where the watchdog never finds it
	Meaning  string // one sentence for docs and dashboards
}

var kinds = []Kind{
	{Code: Unrouted, Scopes: []Scope{Partition}, Severity: Page, Terminal: true, Stops: true, Strict: true, Meaning: "No rule matches a record, and the route says stop."},
	{Code: TooLarge, Scopes: []Scope{Partition}, Severity: Page, Stops: true, Strict: true, Meaning: "A record fits into no frame, or a batch does not fit into the budget."},
	{Code: Refused, Scopes: []Scope{Stream, Partition}, Severity: Page, Stops: true, Strict: true, Stuck: "route", Meaning: "Two proxies, or all there are, refuse a pack by code."},
	{Code: Poison, Scopes: []Scope{Partition}, Severity: Page, Terminal: true, Stops: true, Strict: true, Meaning: "Proxies close the connection on which a record arrives."},
	{Code: Undecodable, Scopes: []Scope{Partition}, Severity: Page, Stops: true, Strict: true, Meaning: "A batch of the partition cannot be read: it is damaged, or compressed in an unknown way."},
	{Code: LetterTopic, Scopes: []Scope{Partition}, Severity: Page, Stops: true, Strict: true, Meaning: "Dead letters of the partition cannot be written to dead_letter.topic."},
	{Code: LetterLimit, Scopes: []Scope{Partition}, Severity: Page, Terminal: true, Stops: true, Strict: true, Meaning: "More of the partition's records would become dead letters than dead_letter.limit allows."},
	{Code: LetterWait, Scopes: []Scope{Process}, Severity: Ticket, Stuck: "window", Meaning: "Dead letters come faster than dead_letter.topic takes them."},
	{Code: Gap, Scopes: []Scope{Partition}, Severity: Page, Terminal: true, Stops: true, Strict: true, Meaning: "Kafka removed offsets before they were delivered."},
	{Code: Truncated, Scopes: []Scope{Partition}, Severity: Page, Terminal: true, Stops: true, Strict: true, Meaning: "Kafka lost offsets at the end of the log that the bridge had reached."},
	{Code: Recreated, Scopes: []Scope{Partition}, Severity: Page, Terminal: true, Stops: true, Strict: true, Meaning: "The topic was deleted and created again."},
	{Code: Deleted, Scopes: []Scope{Partition}, Severity: Page, Stops: true, Strict: true, Meaning: "The topic is gone."},
	{Code: NoStart, Scopes: []Scope{Partition}, Severity: Page, Terminal: true, Stops: true, Strict: true, Meaning: "The partition has no committed offset, and kafka.start gives it none."},
	{Code: Loop, Scopes: []Scope{Partition}, Severity: Page, Terminal: true, Stops: true, Strict: true, Meaning: "The partition holds what this bridge wrote."},
	{Code: TooManyStreams, Scopes: []Scope{Partition}, Severity: Page, Stops: true, Strict: true, Meaning: "A record belongs to one stream more than inlong.max_streams allows."},
	{Code: Unbalanced, Scopes: []Scope{Partition}, Severity: Page, Terminal: true, Stops: true, Strict: true, Meaning: "The books of the partition do not add up to its offset, which is a fault of the bridge."},
	{Code: Fault, Scopes: []Scope{Partition}, Severity: Page, Strict: true, Stuck: "broker", Meaning: "Kafka answers for the partition with an error that is tried again."},
	{Code: NotFetched, Scopes: []Scope{Partition}, Severity: Page, Strict: true, Stuck: "broker", Meaning: "Kafka has records of the partition and returns none."},
	{Code: Transaction, Scopes: []Scope{Partition}, Severity: Info, Stuck: "transaction", Meaning: "A producer's transaction is open, and read_committed waits for its end."},
	{Code: Overdue, Scopes: []Scope{Partition}, Severity: Page, Strict: true, Meaning: "The oldest records wait longer to become final than the mode of confirmation takes."},
	{Code: MaxUnfinal, Scopes: []Scope{Process, Partition}, Severity: Ticket, Stuck: "window", Meaning: "As many pieces wait to become final, or to be committed, as delivery.max_unfinal allows."},
	{Code: AtEnd, Scopes: []Scope{Partition}, Severity: Info, Meaning: "The migration has read the partition to the end of its plan."},
	{Code: Order, Scopes: []Scope{Process, Partition}, Severity: Info, Meaning: "Records wait until the pack before them is final, as delivery.order says."},
	{Code: StreamFull, Scopes: []Scope{Stream}, Severity: Ticket, Stuck: "route", Meaning: "The stream holds as many waiting bytes as it may: what it sends in a few seconds, or what is free of the budget."},
	{Code: StreamStalled, Scopes: []Scope{Stream}, Severity: Page, Strict: true, Stuck: "route", Meaning: "The stream has waiting packs and makes no progress."},
	{Code: UnknownStream, Scopes: []Scope{Stream}, Severity: Page, Strict: true, Stuck: "route", Meaning: "The proxies do not know the group or the stream."},
	{Code: NotInQueue, Scopes: []Scope{Stream}, Severity: Page, Strict: true, Stuck: "queue", Meaning: "Proxies acked packs of the stream, and the queue does not show them: its topic is missing or another one."},
	{Code: WrapType, Scopes: []Scope{Stream}, Severity: Page, Strict: true, Stuck: "queue", Meaning: "The proxies write the stream to the queue in a form that carries no mid, so it is never seen there."},
	{Code: Endpoint, Scopes: []Scope{Proxy}, Severity: Ticket, Stuck: "endpoint", Meaning: "A proxy is not connected, or is left alone because of its answers."},
	{Code: WindowFull, Scopes: []Scope{Process}, Severity: Ticket, Stuck: "window", Meaning: "Every proxy holds as much unconfirmed data as it may."},
	{Code: Queue, Scopes: []Scope{QueueCluster}, Severity: Page, Strict: true, Stuck: "queue", Meaning: "A queue cluster behind the proxies does not answer."},
	{Code: Rebalance, Scopes: []Scope{Group}, Severity: Page, Strict: true, Stuck: "rebalance", Meaning: "The session of the consumer group fails."},
	{Code: Commit, Scopes: []Scope{Group}, Severity: Page, Strict: true, Meaning: "Commits fail."},
	{Code: Source, Scopes: []Scope{Group}, Severity: Page, Strict: true, Stuck: "broker", Meaning: "The source's brokers do not answer."},
	{Code: MissingTopics, Scopes: []Scope{Group}, Severity: Ticket, Strict: true, Meaning: "Topics that routes name do not exist."},
	{Code: Unmatched, Scopes: []Scope{Group}, Severity: Info, Meaning: "A pattern of a route matches no topic."},
	{Code: Hung, Scopes: []Scope{Process}, Severity: Page, Strict: true, Meaning: "A loop of the bridge has worked on one thing for more than a minute, or has ended."},
	{Code: Starting, Scopes: []Scope{Process}, Severity: Info, Strict: true, Meaning: "The bridge has not joined its group yet."},
	{Code: Draining, Scopes: []Scope{Process}, Severity: Info, Strict: true, Meaning: "The bridge is told to stop, and finishes what it fetched."},
	{Code: Budget, Scopes: []Scope{Process}, Severity: Ticket, Stuck: "budget", Meaning: "Records wait for the proxies to take them: as much as they take in a few seconds, or the whole byte budget."},
	{Code: Rate, Scopes: []Scope{Process}, Severity: Ticket, Meaning: "Records wait because the proxies get as much as delivery.proxy_rate allows."},
	{Code: NoProxy, Scopes: []Scope{Process}, Severity: Page, Strict: true, Stuck: "endpoint", Meaning: "No proxy is connected."},
	{Code: NoAck, Scopes: []Scope{Process}, Severity: Page, Strict: true, Stuck: "endpoint", Meaning: "Proxies are connected and do not answer in time."},
	{Code: NotSeen, Scopes: []Scope{Process}, Severity: Page, Strict: true, Stuck: "queue", Meaning: "The queue behind the proxies does not show what they acked."},
	{Code: Reread, Scopes: []Scope{Process}, Severity: Page, Strict: true, Stuck: "broker", Meaning: "Pieces that a proxy lost are not read again yet."},
	{Code: Discovery, Scopes: []Scope{Process}, Severity: Ticket, Meaning: "The list of proxies is old, or from the file: the Manager does not answer."},
	{Code: RestartNeeded, Scopes: []Scope{Process}, Severity: Ticket, Strict: true, Meaning: "The Manager names a queue of another kind than the one that is read."},
}

// Kinds returns what is known of every code, in the order of the documentation.
func Kinds() []Kind { return slices.Clone(kinds) }

// KindOf returns what is known of a code. It panics for a code that is in no table.
func KindOf(c Code) *Kind {
	for i := range kinds {
		if kinds[i].Code == c {
			return &kinds[i]
		}
	}
	panic("bug: reason code " + string(c) + " is in no table")
}
