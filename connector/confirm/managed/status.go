package managed

import (
	"fmt"
	"time"

	"inlong-bridge/sdk/manager"
)

// Status says how asking the Manager about the queue goes.
type Status struct {
	Updated   time.Time `json:"updated,omitzero"`
	LastError string    `json:"last_error,omitempty"`
	Streams   int       `json:"streams"`           // streams for which the Manager names a topic
	Joining   []string  `json:"joining,omitempty"` // clusters that the Manager names and that are not read yet
	Leaving   []string  `json:"leaving,omitempty"` // clusters that the Manager no longer names and that are still read
	// Restart says what changed that only a restart applies, "" for nothing.
	Restart string `json:"restart_to_apply,omitempty"`
	// Brokers says which clusters have other addresses, or another tenant or namespace, now; the bridge uses them after
	// a restart.
	Brokers string `json:"other_brokers,omitempty"`
	// Unreadable are the streams in use whose packs cannot be recognised in the queue.
	Unreadable []UnreadableStream `json:"unreadable,omitempty"`
}

// UnreadableStream is a stream with another wrap type than INLONG_MSG_V0 in the Manager. The messages of its topic
// are no InLongMsg with the attribute mid, by which a pack is recognised.
type UnreadableStream struct {
	Group    string `json:"group"`
	Stream   string `json:"stream"`
	WrapType string `json:"wrap_type"`
}

// String returns the reason that /status shows.
func (u UnreadableStream) String() string {
	return fmt.Sprintf("stream %s.%s has the wrap type %s in the Manager, in which the bridge cannot recognise its packs in the queue; set it to %s, or use delivery.confirm: settle",
		u.Group, u.Stream, u.WrapType, manager.WrapInLongMsg)
}
