package main

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/lineage"
	"inlong-bridge/sdk/frame"
)

// maxDecoded is the most bytes of records that are taken out of one message.
const maxDecoded = 64 << 20

// decodedPack is a message of the queue, opened.
type decodedPack struct {
	*confirm.Message
	version       uint8
	group, stream string
	attr          []byte
	mid           string
	eventTime     time.Time // zero when the pack tells none
	count         int       // of records, as the pack says
	records       []decodedRecord
	lineage       *lineage.Lineage // nil if the pack tells none
	lineageErr    error            // the lineage cannot be read
	err           error            // the message or its records cannot be read
}

// decodedRecord is a record of a pack.
type decodedRecord struct {
	n      int // from 0, in the pack
	data   []byte
	attr   []byte          // its own, nil for none
	origin *lineage.Record // nil if the pack does not tell it
}

// openPack opens a message. The result refers to it.
func openPack(m *confirm.Message) *decodedPack {
	p := &decodedPack{Message: m}
	if m.Err != nil {
		p.err = m.Err
		return p
	}
	o, err := frame.OpenInLongMsg(m.Value, maxDecoded)
	p.version, p.attr, p.count, p.err = o.Version, o.Attr, o.Count, err
	if err != nil && o.Attr == nil {
		return p
	}
	if o.DataMillis > 0 {
		p.eventTime = time.UnixMilli(o.DataMillis)
	}
	of := func(key string) string {
		value, _ := frame.Attribute(p.attr, key)
		return string(value)
	}
	p.group, p.stream, p.mid = of("groupId"), of("streamId"), of(frame.AttrMid)
	if o.Numeric {
		p.group, p.stream = strconv.Itoa(int(o.GroupIDNum)), strconv.Itoa(int(o.StreamIDNum))
	}
	p.records = make([]decodedRecord, len(o.Records))
	for i, r := range o.Records {
		p.records[i] = decodedRecord{n: i, data: r}
		if o.RecordAttrs != nil {
			p.records[i].attr = o.RecordAttrs[i]
		}
	}
	if src := of(lineage.Attr); src != "" && err == nil {
		p.setLineage(src)
	}
	return p
}

// setLineage says of each record where it came from.
func (p *decodedPack) setLineage(src string) {
	if p.lineage, p.lineageErr = lineage.Decode(src, len(p.records)); p.lineageErr != nil {
		return
	}
	i := 0
	for r := range p.lineage.Records() {
		p.records[i].origin = &r
		i++
	}
}

// match leaves only the records that match.
func (p *decodedPack) match(pattern *regexp.Regexp) {
	kept := p.records[:0]
	for _, r := range p.records {
		if pattern.Match(r.data) {
			kept = append(kept, r)
		}
	}
	p.records = kept
}

// place names where the message lies: topic/partition@offset.
func (p *decodedPack) place() string {
	if p.Partition == single {
		return "message"
	}
	at := p.Topic
	if p.Partition >= 0 {
		at += fmt.Sprintf("/%d", p.Partition)
	}
	return at + "@" + p.At.String()
}
