package frame

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// attributes that DataProxy reads or fills in for the queue
const (
	attrCount    = "cnt"
	attrDataTime = "dt"
)

// AppendTextInLongMsg appends what DataProxy's KafkaHandler makes of a text pack: an InLongMsg of version
// 1, of version 3 for type 6. content is the body as [TextPack.Content] returns it, received and created
// are milliseconds since the epoch, of the pack's arrival and of now.
//
// What DataProxy changes on the way is changed here: the attributes come in the order of a Java HashMap,
// with dt, cnt, rt and rtms filled in where they are missing or no numbers; type 5 and 6 always say cnt=1;
// type 5 ends before the first record that is empty or longer than what is left; a line feed at the end of
// the other types is cut off, "\r\n" as well, unless mt=pb; type 6 is stored unread, or left out when its
// lengths reach over its end.
//
// Where DataProxy ends the connection, or refuses the pack before it gets so far, the error is ErrCorrupt.
// Attributes of more than 65535 bytes are ErrTooLarge: DataProxy then acks, and stores an empty message.
// On an error dst is returned unchanged.
func AppendTextInLongMsg(dst []byte, p *TextPack, content []byte, received, created int64) ([]byte, error) {
	attrs, err := splitAttr(p.Attr)
	if err != nil {
		return dst, fmt.Errorf("wrapping text pack: %w: %w", err, ErrCorrupt)
	}
	attrs.fill(received)
	m := BlockMsg{Version: 1, Created: created}
	blk := Block{Snappy: true}
	var stored []byte
	switch p.Type {
	case TypeMultiBody:
		attrs.put(attrCount, "1")
		var n int
		if n, err = goodItems(content); err == nil {
			stored = content[:n]
		}
	case TypeMultiBodyAttr:
		m.Version = 3
		attrs.put(attrCount, "1")
		var whole bool
		if m.Count, whole, err = countPairs(content); err == nil && whole {
			stored = AppendItem(make([]byte, 0, ItemOverhead+len(content)), content)
		}
	default:
		var line []byte
		if line, err = withoutLineEnd(content, attrs.get(attrKind) == kindBinary); err == nil {
			stored = AppendItem(make([]byte, 0, ItemOverhead+len(line)), line)
		}
	}
	if err != nil {
		return dst, fmt.Errorf("wrapping text pack: %w", err)
	}
	if stored != nil {
		blk.Attr = attrs.join()
		if len(blk.Attr) > maxBlockAttr {
			return dst, fmt.Errorf("wrapping text pack: %d bytes of attributes: %w", len(blk.Attr), ErrTooLarge)
		}
		blk.Data = appendSnappy(nil, stored, false)
		m.Blocks = []Block{blk}
	}
	return m.AppendTo(dst)
}

// fill puts in what DataProxy wants every text pack to have.
func (m *attrMap) fill(received int64) {
	now := strconv.FormatInt(received, 10)
	if _, err := strconv.ParseInt(m.get(attrCount), 10, 32); err != nil {
		m.put(attrCount, "1")
	}
	if _, err := strconv.ParseInt(m.get(attrDataTime), 10, 64); err != nil {
		m.put(attrDataTime, now)
	}
	for _, key := range [...]string{attrReceiveTime, attrReportTime} {
		if strings.TrimSpace(m.get(key)) == "" {
			m.put(key, now)
		}
	}
}

// goodItems returns how many bytes of a type-5 body DataProxy takes records from: up to the first that is
// empty or longer than what is left. There must be one, and a length at the end must not be cut off.
func goodItems(content []byte) (int, error) {
	taken := 0
	for rest := content; len(rest) > 0; {
		if len(rest) < ItemOverhead {
			return 0, fmt.Errorf("%d bytes behind the last record: %w", len(rest), ErrCorrupt)
		}
		item, tail, ok := cutItem(rest)
		if !ok || len(item) == 0 {
			break
		}
		rest = tail
		taken = len(content) - len(rest)
	}
	if taken == 0 {
		return 0, fmt.Errorf("no record in %d bytes: %w", len(content), ErrCorrupt)
	}
	return taken, nil
}

// countPairs goes over a type-6 body by its lengths, as InLongMsg does before it stores one, and returns
// how many pairs of them it counts, one at least. whole is false when a length reaches over the end.
func countPairs(content []byte) (pairs uint32, whole bool, err error) {
	n := uint32(0)
	for rest := content; len(rest) > 0; n++ {
		if len(rest) < ItemOverhead || int32(binary.BigEndian.Uint32(rest)) < 0 {
			return 0, false, fmt.Errorf("a length that is cut off or negative: %w", ErrCorrupt)
		}
		_, tail, ok := cutItem(rest)
		if !ok {
			return 0, false, nil
		}
		rest = tail
	}
	return max(n/2, 1), true, nil
}

// withoutLineEnd cuts one line end off a body of lines.
func withoutLineEnd(content []byte, binary bool) ([]byte, error) {
	n := len(content)
	if binary || n == 0 || content[n-1] != '\n' {
		return content, nil
	}
	if n == 1 {
		return nil, fmt.Errorf("a body of one line feed: %w", ErrCorrupt)
	}
	if content[n-2] == '\r' {
		return content[:n-2], nil
	}
	return content[:n-1], nil
}
