package route

import (
	"testing"

	"inlong-bridge/sdk/frame"
)

// packValue is what lies in the queue of a pack with these attributes.
func packValue(t testing.TB, attr string) []byte {
	t.Helper()
	p := frame.Pack{Ext: frame.ExtStringIDs, Count: 1, Attr: []byte(attr)}
	if _, err := frame.AppendPack(nil, &p, frame.AppendItem(nil, []byte("x")), false); err != nil {
		t.Fatal(err)
	}
	v, err := frame.AppendInLongMsg(nil, &p, 1)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Replicas of different versions must agree, so the name of a group never changes.
func TestOriginNamesTheGroupAndItsCluster(t *testing.T) {
	if got := OriginOf("kafka-1", "bridge"); got != "WIMEoYZb" {
		t.Errorf("originOf = %q, want the name that released versions use", got)
	}
	seen := map[string]bool{}
	for _, x := range [][2]string{{"kafka-1", "bridge"}, {"kafka-2", "bridge"}, {"", "bridge"}, {"kafka-1", "other"}} {
		name := OriginOf(x[0], x[1])
		if seen[name] || len(name) != 8 || frame.CheckAttribute(frame.AttrOrigin, name) != nil {
			t.Errorf("originOf(%q, %q) = %q, want 8 characters of its own", x[0], x[1], name)
		}
		seen[name] = true
	}
}

func TestPackOfThisGroupIsToldFromOthers(t *testing.T) {
	const ids = "groupId=g&streamId=s&"
	own := packValue(t, ids+"bg=me&rtms=1&mid=i.1")
	for _, tt := range []struct {
		name  string
		value []byte
		want  PackFrom
	}{
		{"this group", own, OwnPack},
		{"another group", packValue(t, ids+"bg=you&mid=i.1"), ForeignPack},
		{"no group", packValue(t, ids+"mid=i.1"), ForeignPack},
		{"of this group by a sender that names no packs", packValue(t, ids+"bg=me"), NoPack},
		{"cut off", own[:len(own)-1], NoPack},
		{"an ordinary record", []byte("hello, world"), NoPack},
		{"two bytes", own[:2], NoPack},
		{"empty", nil, NoPack},
	} {
		got := NoPack
		if frame.MayBeInLongMsg(tt.value) {
			got = WhosePack(tt.value, "me")
		}
		if got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { _ = frame.MayBeInLongMsg(own) && WhosePack(own, "me") == OwnPack }); n != 0 {
		t.Errorf("looking at a pack allocates %v times, want never", n)
	}
}
