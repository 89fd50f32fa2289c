package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/s2"
)

func TestCorpusIsTheSameForTheSameSeed(t *testing.T) {
	for name, c := range corpora {
		a, err := newCorpus(name, 1)
		if err != nil {
			t.Fatal(err)
		}
		b, err := newCorpus(name, 1)
		if err != nil {
			t.Fatal(err)
		}
		other, err := newCorpus(name, 2)
		if err != nil {
			t.Fatal(err)
		}
		same := 0
		for i, r := range a {
			if len(r) != c.size || !bytes.Equal(r, b[i]) {
				t.Fatalf("%s: record %d is %q, want %d bytes, and again %q", name, i, r, c.size, b[i])
			}
			if bytes.Equal(r, other[i]) {
				same++
			}
			if name != "rand1k" && !json.Valid(r) {
				t.Fatalf("%s: record %d is no JSON: %s", name, i, r)
			}
		}
		if same > 0 {
			t.Errorf("%s: another seed gives %d equal records, want none", name, same)
		}
	}
}

func TestUnknownCorpusIsRefused(t *testing.T) {
	if _, err := newCorpus("json2k", 1); err == nil {
		t.Error("newCorpus of an unknown name gives no error")
	}
}

// What a corpus is like decides what is measured, so it may not change unnoticed.
func TestCorporaCompressAsTheyAreMeantTo(t *testing.T) {
	for name, want := range map[string][2]float64{
		"json100": {1.4, 2.2}, "json1k": {2.1, 2.2}, "json10k": {2.1, 2.6}, "log1k": {2.8, 3.1}, "rand1k": {0.99, 1},
	} {
		records, err := newCorpus(name, 1)
		if err != nil {
			t.Fatal(err)
		}
		src := bytes.Join(records, nil)[:256<<10]
		ratio := float64(len(src)) / float64(len(s2.EncodeSnappy(nil, src)))
		t.Logf("%s: s2 %.3f, golang/snappy %.3f", name, ratio, float64(len(src))/float64(len(snappy.Encode(nil, src))))
		if ratio < want[0] || ratio > want[1] {
			t.Errorf("%s: a pack shrinks by %.2f, want %.2f to %.2f", name, ratio, want[0], want[1])
		}
	}
}
