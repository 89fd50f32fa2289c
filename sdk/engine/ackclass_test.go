package engine

import "testing"

func TestAckCodeTable(t *testing.T) {
	want := map[AckClass][]int{
		Accepted:          {0},
		ProxyUnavailable:  {1, 2, 3, 10, 114, 117, 118, 119},
		StreamUnavailable: {108, 120, 2147483647, -1, 4711, 152},
		StreamUnknown:     {113, 115, 116, 121},
		Damaged:           {94, 95},
		Rejected:          {31, 32, 33, 34, 35, 36, 96, 100, 101, 102, 103, 104, 105, 106, 107, 109, 110, 111, 112, 122, 123, 150, 151},
	}
	for class, codes := range want {
		for _, code := range codes {
			c := LookUp(code)
			if c.Class != class {
				t.Errorf("code %d is %v, want %v", code, c.Class, class)
			}
			if code != 0 && c.Hint == "" {
				t.Errorf("code %d has no hint", code)
			}
		}
	}
	seen := make(map[int]bool)
	for _, c := range ackCodes {
		if seen[c.Code] {
			t.Errorf("code %d stands in the table twice", c.Code)
		}
		seen[c.Code] = true
	}
	if !LookUp(115).Class.Retryable() || LookUp(109).Class.Retryable() || LookUp(94).Class.Retryable() {
		t.Error("115 can be tried again, 109 and 94 cannot")
	}
}
