package sdk

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"inlong-bridge/sdk/frame"
)

// Attr is one attribute, of a pack or of a record.
type Attr struct{ Key, Value string }

// AuditVersion is the pack attribute that InLong's audit copies into its records.
func AuditVersion(v int64) Attr { return Attr{attrAuditVersion, strconv.FormatInt(v, 10)} }

const attrAuditVersion = "auditVersion"

// ReportAttrs are the attributes that InLong's C++ SDK gives each record with extend_field 0x1: the record's time as
// yyyymmddHHMMSS, in the time zone of t, and the address of the sender. Readers that expect them find them in Message.Attrs.
func ReportAttrs(t time.Time, ip string) []Attr {
	return []Attr{{"__addcol1__reptime", t.Format("20060102150405")}, {"__addcol2__ip", ip}}
}

// PackAttrs are the attributes that all records of a pack share; make them with NewPackAttrs, once. DataProxy
// passes them through into the queue. Records with different ones never share a pack, so few different
// ones make large packs.
type PackAttrs struct{ text string }

// maxPackAttrs keeps all attributes of a pack around the 2 KiB that DataProxy is known to take.
const maxPackAttrs = 768

// NewPackAttrs checks the attributes. The errors are *AttributeError, joined. Without any it is nil, which is legal
// wherever a *PackAttrs is.
func NewPackAttrs(attrs ...Attr) (*PackAttrs, error) {
	if len(attrs) == 0 {
		return nil, nil //nolint:nilnil // as the comment says
	}
	text, err := encodeAttrs(nil, attrs, "")
	if err != nil {
		return nil, err
	}
	if len(text) > maxPackAttrs {
		return nil, fmt.Errorf("attributes of a pack take %d bytes, %d are allowed; give them to the records", len(text), maxPackAttrs)
	}
	return &PackAttrs{string(text)}, nil
}

// String returns them as they are sent, k=v&k=v.
func (a *PackAttrs) String() string {
	if a == nil {
		return ""
	}
	return a.text
}

// AttributeError says why an attribute cannot be sent.
type AttributeError struct{ Key, Value, Reason string }

func (e *AttributeError) Error() string {
	return fmt.Sprintf("attribute %q with value %q %s", e.Key, e.Value, e.Reason)
}

// ErrEmptyRecord says that a record without bytes has attributes, or others of its batch have: InLong's readers
// refuse a whole pack then. Send it without.
var ErrEmptyRecord = errors.New("an empty record cannot travel with attributes of records")

// reservedAttrs are written by the sender, or DataProxy reads or writes them itself.
var reservedAttrs = []string{
	"bg", "bid", "cnt", "cp", "dpIP", "dpIp", "dt", "errCode", "errMsg", "groupId", "isAck", "messageId", "mid", "msgUUID", "mt",
	"node1ip", "node2ip", "partitionKey", "proxySend", "rt", "rtime1", "rtime2", "rtms", "sid", frame.AttrTrail, "streamId",
	"syncSend", "uniq", "wid",
}

// encodeAttrs appends attributes to dst. No key may come twice, or stand in taken, an attribute string
// that InLong's readers join with this one.
func encodeAttrs(dst []byte, attrs []Attr, taken string) ([]byte, error) {
	var errs []error
	start := len(dst)
	for i, a := range attrs {
		bad := func(reason string) { errs = append(errs, &AttributeError{a.Key, a.Value, reason}) }
		_, given := frame.Attribute([]byte(taken), a.Key)
		switch err := frame.CheckAttribute(a.Key, a.Value); {
		case err != nil:
			bad("cannot be sent: " + err.Error())
		case slices.Contains(reservedAttrs, a.Key):
			bad("has a name that InLong uses itself; choose another")
		case strings.TrimSpace(a.Key) != a.Key || strings.TrimSpace(a.Value) != a.Value:
			bad("begins or ends with a space, which DataProxy cuts off")
		case given || slices.ContainsFunc(attrs[:i], func(b Attr) bool { return b.Key == a.Key }):
			bad("is given twice")
		case a.Key == attrAuditVersion && !isInt(a.Value):
			bad("is not a number; use AuditVersion")
		}
		if len(dst) > start {
			dst = append(dst, '&')
		}
		dst = append(append(append(dst, a.Key...), '='), a.Value...)
	}
	return dst, errors.Join(errs...)
}

func isInt(text string) bool {
	_, err := strconv.ParseInt(text, 10, 64)
	return err == nil
}

// noAttrs stands for the attributes of a record that has none, among others that have some: InLong's
// readers refuse a pack in which one has a length of zero.
const noAttrs = "_="

// appendRecord appends what follows the length of a record in a pack with attributes of records.
func appendRecord(dst, payload []byte, attrs []Attr, taken string) ([]byte, error) {
	if len(payload) == 0 {
		return dst, ErrEmptyRecord
	}
	text := []byte(noAttrs)
	if len(attrs) > 0 {
		var err error
		if text, err = encodeAttrs(nil, attrs, taken); err != nil {
			return dst, err
		}
	}
	return frame.AppendItem(append(dst, payload...), text), nil
}

// SetPackAttrs says what packs of the stream carry whose messages and batches bring none of their own,
// from now on; nil for what WithPackAttrs says.
func (s *Stream) SetPackAttrs(a *PackAttrs) { s.packAttrs.Store(a) }

// attrsOr returns the attributes of the pack: the message's or batch's own, or the stream's, or the sender's.
func (s *Stream) attrsOr(own *PackAttrs) string {
	if own == nil {
		if own = s.packAttrs.Load(); own == nil {
			own = s.s.o.packAttrs
		}
	}
	return own.String()
}

// WithPackAttrs says what packs carry unless their stream, message or batch brings its own. Default nothing.
func WithPackAttrs(a *PackAttrs) Option { return optionFunc(func(o *options) { o.packAttrs = a }) }
