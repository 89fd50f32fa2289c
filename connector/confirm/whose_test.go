package confirm_test

import (
	"testing"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/sdk/frame"
)

const instance = "0123456789abcdefghijkl"

// value is what KafkaHandler makes of a pack with these attributes.
func value(t testing.TB, attr string) []byte {
	t.Helper()
	p := frame.Pack{Ext: frame.ExtStringIDs, DataTime: 1, Count: 1, Uniq: 1, Body: frame.AppendItem(nil, []byte("hello")), Attr: []byte(attr)}
	v, err := frame.AppendInLongMsg(nil, &p, 1_700_000_000_000)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func pack(t testing.TB, who string, seq uint64) []byte {
	t.Helper()
	return value(t, "groupId=g&streamId=s&mid="+string(frame.AppendMid(nil, who, seq)))
}

func TestOnlyPacksOfThisInstanceAreMine(t *testing.T) {
	good := pack(t, instance, 0xabc)
	for _, tt := range []struct {
		name  string
		value []byte
		want  confirm.Owner
	}{
		{"mine", good, confirm.Mine},
		{"another instance", pack(t, "0123456789abcdefghijkm", 0xabc), confirm.Foreign},
		{"an instance that begins like ours", pack(t, instance+"x", 0xabc), confirm.Foreign},
		{"an instance that ours begins like", pack(t, instance[:21], 0xabc), confirm.Foreign},
		{"no mid", value(t, "groupId=g&streamId=s"), confirm.Foreign},
		{"mid without a sequence", value(t, "mid="+instance), confirm.Foreign},
		{"mid with a sequence that is no number", value(t, "mid="+instance+".xyz"), confirm.Foreign},
		{"empty", nil, confirm.Unreadable},
		{"text", []byte("hello"), confirm.Unreadable},
		{"cut short", good[:len(good)-3], confirm.Unreadable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seq, v := confirm.Judge(tt.value, instance)
			if v != tt.want || v == confirm.Mine && seq != 0xabc {
				t.Errorf("Judge = %x %v, want verdict %v", seq, v, tt.want)
			}
		})
	}
}

func TestBodyIsNeverOpened(t *testing.T) {
	v := pack(t, instance, 7)
	for i := 31; i < 34; i++ {
		v[i] ^= 0xff // behind the header: the block would not decompress
	}
	if seq, verdict := confirm.Judge(v, instance); verdict != confirm.Mine || seq != 7 {
		t.Errorf("Judge = %d %v, want 7 mine", seq, verdict)
	}
}

func TestJudgeDoesNotAllocate(t *testing.T) {
	mine, other, broken := pack(t, instance, 7), pack(t, "another", 7), []byte("broken")
	n := testing.AllocsPerRun(1000, func() {
		for _, v := range [][]byte{mine, other, broken} {
			if seq, verdict := confirm.Judge(v, instance); verdict == confirm.Mine && seq != 7 {
				t.Fatalf("seq %d", seq)
			}
		}
	})
	if n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
