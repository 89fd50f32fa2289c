package sdkprom

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/sdkprom/series"
)

// Source is what a Collector reads: a *sdk.Sender.
type Source interface{ Status() sdk.Status }

// Collector is a prometheus.Collector over a sender's status.
type Collector struct {
	source Source
}

// New returns a collector to be registered once.
func New(s Source) *Collector { return &Collector{source: s} }

const prefix = "inlong_bridge_sender_"

type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func gauge(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc(prefix+name, help, labels, nil), prometheus.GaugeValue}
}

func counter(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc(prefix+name, help, labels, nil), prometheus.CounterValue}
}

func histogram(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prefix+name, help, labels, nil)
}

// perSender, perEndpoint and perStream are the metrics with how each is read.
var (
	perSender = []struct {
		metric
		value func(*sdk.Status) float64
	}{
		{gauge("budget_bytes", "Bytes of records that may be held until a proxy acks them. Fixed by the configuration."),
			func(s *sdk.Status) float64 { return float64(s.BudgetBytes) }},
		{gauge("used_bytes", "Bytes of records that no proxy acked yet. Close to the budget: the proxies are the bottleneck; look at the streams' held bytes and the endpoints."),
			func(s *sdk.Status) float64 { return float64(s.UsedBytes) }},
		{gauge("open_packs", "Packs that are being filled. Many: there are many streams or event-time minutes at once, and packs get small."),
			func(s *sdk.Status) float64 { return float64(s.OpenPacks) }},
		{gauge("waiting_packs", "Sealed packs that are not in flight. Growing: no proxy takes them; look at the endpoints' state and the streams' stall."),
			func(s *sdk.Status) float64 { return float64(s.WaitingPacks) }},
		{gauge("unfinal_packs", "Packs in flight or acked and not final. Growing: what is acked does not become final; look at the queue behind the proxies."),
			func(s *sdk.Status) float64 { return float64(s.UnfinalPacks) }},
		{gauge("lost_packs", "Lost packs of which news is still awaited. Not shrinking: what was lost is not read and sent again."),
			func(s *sdk.Status) float64 { return float64(s.LostPacks) }},
		{gauge("held_packs", "Packs that proxies reject permanently and that are kept and tried again. Any is trouble: the streams' stall has the proxy's words."),
			func(s *sdk.Status) float64 { return float64(s.HeldPacks) }},
		{gauge("stream_bytes", "Bytes of the budget that streams take by being known, a kilobyte each. Close to the budget: there are too many streams, or idle ones are not forgotten."),
			func(s *sdk.Status) float64 { return float64(s.StreamBytes) }},
		{gauge("discovery_stale", "1 when the list of proxies is old or from the file. Look at the Manager."),
			func(s *sdk.Status) float64 { return truth(s.Discovery.Stale) }},
	}
	perEndpoint = []struct {
		metric
		value func(*sdk.EndpointStatus) float64
	}{
		{gauge("connections", "Open connections to the proxy. Zero: it is down or unreachable; see last_error in the status.", "endpoint"),
			func(s *sdk.EndpointStatus) float64 { return float64(s.Connections) }},
		{gauge("endpoint_paused", "1 while the proxy gets nothing because of its answers or its connections' ends. See its reason in the status.", "endpoint"),
			func(s *sdk.EndpointStatus) float64 { return truth(s.State == "paused") }},
		{gauge("in_flight_packs", "Packs the proxy has not answered.", "endpoint"),
			func(s *sdk.EndpointStatus) float64 { return float64(s.InFlightPacks) }},
		{gauge("in_flight_bytes", "Bytes on the wire the proxy has not answered. At its window for long: the proxy is slow.", "endpoint"),
			func(s *sdk.EndpointStatus) float64 { return float64(s.InFlightBytes) }},
		{gauge("acked_packs", "Packs the proxy acked that are not final: what is lost if it dies now.", "endpoint"),
			func(s *sdk.EndpointStatus) float64 { return float64(s.AckedPacks) }},
		{gauge("acked_bytes", "Bytes on the wire the proxy acked that are not final. Growing: the proxy is behind its queue.", "endpoint"),
			func(s *sdk.EndpointStatus) float64 { return float64(s.AckedBytes) }},
		{gauge("window_bytes", "Bytes that may be in flight to the proxy, or acked and not final. With settle it shrinks when acks are slow.", "endpoint"),
			func(s *sdk.EndpointStatus) float64 { return float64(s.WindowBytes) }},
		{gauge("oldest_unfinal_seconds", "Age of the oldest pack sent through the proxy that is not final. Growing: the proxy does not reach its queue.", "endpoint"),
			func(s *sdk.EndpointStatus) float64 { return s.OldestUnfinal.Seconds() }},
		{counter("endpoint_acks_total", "Packs the proxy acked. Not growing while others grow: look at this proxy.", "endpoint"),
			func(s *sdk.EndpointStatus) float64 { return float64(s.PacksAcked) }},
		{counter("sent_bytes_total", "Bytes of packs written to the proxy, copies included.", "endpoint"),
			func(s *sdk.EndpointStatus) float64 { return float64(s.BytesSent) }},
		{counter("reconnects_total", "Connections opened after one had ended. Growing: something ends connections; see last_error in the status.", "endpoint"),
			func(s *sdk.EndpointStatus) float64 { return float64(s.Reconnects) }},
		{counter("connections_ended_total", "Connections that ended, for whatever reason.", "endpoint"),
			func(s *sdk.EndpointStatus) float64 { return float64(s.ConnectionsEnded) }},
		{counter("unknown_acks_total", "Answers to nothing that was in flight on that connection. Growing: something between here and the proxy changes or repeats bytes.", "endpoint"),
			func(s *sdk.EndpointStatus) float64 { return float64(s.UnknownAcks) }},
		{counter("endpoint_packs_lost_total", "Packs that the proxy acked and that are gone with it. Growing: the proxy or a connection to it ended, or it delivers nothing; they are read and sent again.", "endpoint"),
			func(s *sdk.EndpointStatus) float64 { return float64(s.PacksLost) }},
		{counter("endpoint_records_lost_total", "Records of these packs.", "endpoint"),
			func(s *sdk.EndpointStatus) float64 { return float64(s.RecordsLost) }},
	}
	perStream = []struct {
		metric
		value func(*sdk.StreamStatus) float64
	}{
		{gauge("held_bytes", "Bytes of the stream's records that no proxy acked yet. As much as is free: the stream is stopped there so that the others go on.", "group", "stream"),
			func(s *sdk.StreamStatus) float64 { return float64(s.HeldBytes) }},
		{gauge("stream_stalled", "1 while the stream has waiting packs and makes no progress. The status tells the reason.", "group", "stream"),
			func(s *sdk.StreamStatus) float64 { return truth(s.Stall != "") }},
		{counter("records_total", "Records taken.", "group", "stream"),
			func(s *sdk.StreamStatus) float64 { return float64(s.Records) }},
		{counter("record_bytes_total", "Bytes of records taken.", "group", "stream"),
			func(s *sdk.StreamStatus) float64 { return float64(s.RecordBytes) }},
		{counter("buffer_full_total", "Calls that found no room in the byte budget, each attempt of one that waits. Growing: the proxies take less than is handed over; look at held_bytes and the endpoints, or raise the budget.", "group", "stream"),
			func(s *sdk.StreamStatus) float64 { return float64(s.BufferFull) }},
		{counter("too_large_total", "Records that fit into no frame. Any is trouble: make them smaller, or raise the largest frame here and max-msg-length at the proxies.", "group", "stream"),
			func(s *sdk.StreamStatus) float64 { return float64(s.TooLarge) }},
		{counter("packed_bytes_total", "Bytes of records in the packs of wire_bytes_total before compression, with 4 for each record. By wire_bytes_total: the compression ratio. Near 1 with compressing at 1: the data does not shrink, and compressing it costs for nothing.", "group", "stream"),
			func(s *sdk.StreamStatus) float64 { return float64(s.PackedBytes) }},
		{counter("packs_plain_total", "Packs that were not compressed: too small, compression is off, or auto found that it does not pay. Close to packs_total with compressing at 1: packs are small; lengthen the linger.", "group", "stream"),
			func(s *sdk.StreamStatus) float64 { return float64(s.PacksPlain) }},
		{counter("packs_better_total", "Packs that auto compressed with the better encoder, which is slower, because packs of the stream waited for a connection. Growing: connections, proxies or the rate bound are the limit, not this process.", "group", "stream"),
			func(s *sdk.StreamStatus) float64 { return float64(s.PacksBetter) }},
		{counter("packs_trail_full_total", "Packs that were sealed because what they tell of the sources of their records (the attribute src) had no room for more. Growing as fast as packs_total: many sources, or records with large gaps between their offsets, share the stream, and its packs are smaller for it.", "group", "stream"),
			func(s *sdk.StreamStatus) float64 { return float64(s.PacksTrailFull) }},
		{gauge("compressing", "1 while packs of the stream are compressed, 0 when compression is off or auto found that it does not pay and waits to probe again.", "group", "stream"),
			func(s *sdk.StreamStatus) float64 { return truth(s.Compressing) }},
		{counter("records_final_total", "Records that are safe.", "group", "stream"),
			func(s *sdk.StreamStatus) float64 { return float64(s.RecordsFinal) }},
		{counter("records_lost_total", "Records that were acked and are gone with their proxy: their owner has to send them anew. See packs_lost_total.", "group", "stream"),
			func(s *sdk.StreamStatus) float64 { return float64(s.RecordsLost) }},
		{counter("records_refused_total", "Records rejected permanently. Any is trouble: the log has the proxy's words.", "group", "stream"),
			func(s *sdk.StreamStatus) float64 { return float64(s.RecordsRefused) }},
		{counter("packs_total", "Packs sealed. Records by packs tells how full they are.", "group", "stream"),
			func(s *sdk.StreamStatus) float64 { return float64(s.Packs) }},
		{counter("wire_bytes_total", "Bytes of packs on the wire, each counted once. See packed_bytes_total for the compression ratio.", "group", "stream"),
			func(s *sdk.StreamStatus) float64 { return float64(s.WireBytes) }},
		{counter("packs_acked_total", "Packs acked by a proxy.", "group", "stream"),
			func(s *sdk.StreamStatus) float64 { return float64(s.PacksAcked) }},
		{counter("packs_final_total", "Packs that are safe. Behind packs_acked_total for long: what is acked does not become final.", "group", "stream"),
			func(s *sdk.StreamStatus) float64 { return float64(s.PacksFinal) }},
		{counter("packs_lost_total", "Packs that were acked and are gone with their proxy. Growing without a proxy's end: look at proxies and queue.", "group", "stream"),
			func(s *sdk.StreamStatus) float64 { return float64(s.PacksLost) }},
		{counter("packs_resent_total", "Packs sent more than once: possible duplicates. Growing: connections end, or proxies refuse.", "group", "stream"),
			func(s *sdk.StreamStatus) float64 { return float64(s.PacksResent) }},
		{counter("packs_duplicated_total", "Packs of which a second copy is known to be on its way.", "group", "stream"),
			func(s *sdk.StreamStatus) float64 { return float64(s.PacksDuplicated) }},
		{counter("packs_refused_total", "Packs rejected permanently. Any is trouble: the log has the proxy's words.", "group", "stream"),
			func(s *sdk.StreamStatus) float64 { return float64(s.PacksRefused) }},
		{counter("packs_cut_total", "Packs that were cut down because proxies did not take them: in two, or to be read again in halves. One bad record in a full pack makes about fifteen. Growing: some records are refused or end connections; the log and records_refused_total say which stream.", "group", "stream"),
			func(s *sdk.StreamStatus) float64 { return float64(s.PacksCut) }},
	}
	// times are histograms over records, measured per pack.
	times = []struct {
		desc  *prometheus.Desc
		value func(*sdk.StreamStatus) *sdk.Times
	}{
		{histogram("queue_seconds", "Time of records from being handed over to the first write, at most. Growing beyond the linger: no proxy takes them in time; look at waiting_packs and the endpoints. Streams beyond the limit on series (sdk.WithMetricStreams, 1000) are added up as other in this and all metrics of streams.", "group", "stream"),
			func(s *sdk.StreamStatus) *sdk.Times { return &s.QueueTime }},
		{histogram("wire_seconds", "Time of records from the last write to the proxy's ack. Growing: the proxies or the network are slow; see window_bytes.", "group", "stream"),
			func(s *sdk.StreamStatus) *sdk.Times { return &s.WireTime }},
		{histogram("total_seconds", "Time of records from being handed over to final, at most. Growing while wire_seconds does not: what is acked becomes final late; look at the queue behind the proxies.", "group", "stream"),
			func(s *sdk.StreamStatus) *sdk.Times { return &s.TotalTime }},
	}
	metadataFailures = counter("metadata_failures_total", "Times the Manager did not name the group's proxies. Growing: look at the Manager and the group there; what was known goes on to be used. Groups beyond the limit on series are added up as other.", "group")
	ackErrors        = counter("ack_errors_total", "Answers with an error code. 115, 113 and 121: the stream is not known there; 114: the proxy's memory is full; 1 and 2: it takes nothing now.", "endpoint", "code")
)

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range perSender {
		ch <- m.desc
	}
	for _, m := range perEndpoint {
		ch <- m.desc
	}
	for _, m := range perStream {
		ch <- m.desc
	}
	for _, h := range times {
		ch <- h.desc
	}
	ch <- metadataFailures.desc
	ch <- ackErrors.desc
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	s := c.source.Status()
	send := func(m metric, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, v, labels...)
	}
	for _, m := range perSender {
		send(m.metric, m.value(&s))
	}
	for _, e := range s.EndpointSeries() {
		for _, m := range perEndpoint {
			send(m.metric, m.value(&e), e.Address)
		}
		for _, code := range sdk.AckCodes() {
			if _, counted := e.AckErrors[code]; !counted {
				send(ackErrors, 0, e.Address, strconv.Itoa(code))
			}
		}
		for code, n := range e.AckErrors {
			send(ackErrors, float64(n), e.Address, strconv.Itoa(code))
		}
	}
	for _, g := range s.Discovery.GroupSeries() {
		send(metadataFailures, float64(g.Failures), g.Group)
	}
	streams := s.StreamSeries()
	for i := range streams {
		st := &streams[i]
		labels := series.Labels(perStream[0].desc, st.Group, st.Stream)
		for _, m := range perStream {
			ch <- series.New(m.desc, m.kind, m.value(st), labels)
		}
		for _, h := range times {
			t := h.value(st)
			ch <- series.Histogram(h.desc, t.Records(), t.Seconds, timeBounds, cumulative(t), labels)
		}
	}
}

// timeBounds are the bounds of sdk.Times, in seconds.
var timeBounds = func() (seconds []float64) {
	for _, b := range sdk.TimeBounds() {
		seconds = append(seconds, b.Seconds())
	}
	return seconds
}()

// cumulative returns how many records took up to each bound.
func cumulative(t *sdk.Times) []uint64 {
	upTo := make([]uint64, len(timeBounds))
	sum := uint64(0)
	for i := range upTo {
		sum += t.Buckets[i]
		upTo[i] = sum
	}
	return upTo
}
