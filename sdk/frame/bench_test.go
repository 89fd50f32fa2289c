package frame_test

import (
	"bytes"
	"testing"

	"inlong-bridge/sdk/frame"
)

func BenchmarkAppendPack(b *testing.B) {
	items, count := jsonItems(256 << 10)
	for name, compress := range map[string]bool{"snappy": true, "plain": false} {
		b.Run(name, func(b *testing.B) {
			p := plainPack(count)
			dst := make([]byte, 0, frame.Room(len(items), len(p.Attr)))
			b.SetBytes(int64(len(items)))
			b.ReportAllocs()
			var size int
			for b.Loop() {
				out, err := frame.AppendPack(dst, &p, items, compress)
				if err != nil {
					b.Fatal(err)
				}
				size = len(out)
			}
			b.ReportMetric(float64(size)/float64(len(items)), "wire/raw")
		})
	}
}

func BenchmarkDecodeAck(b *testing.B) {
	for name, wire := range map[string][]byte{
		"accepted": frame.AppendAck(nil, 7, "10.0.0.1", 0, "", []byte(plainAttr)),
		"refused":  frame.AppendAck(nil, 7, "10.0.0.1", 114, "put event to channel failure", []byte(plainAttr)),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(wire)))
			b.ReportAllocs()
			for b.Loop() {
				if a, err := frame.DecodeAck(wire); err != nil || a.Uniq != 7 {
					b.Fatal(a, err)
				}
			}
		})
	}
}

func BenchmarkInLongMsgAttr(b *testing.B) {
	items, count := jsonItems(256 << 10)
	p := plainPack(count)
	p.Body = items
	value, err := frame.AppendInLongMsg(nil, &p, 1)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(value)))
	b.ReportAllocs()
	for b.Loop() {
		if attr, err := frame.InLongMsgAttr(value); err != nil || len(attr) == 0 {
			b.Fatal(err)
		}
	}
}

func BenchmarkReader(b *testing.B) {
	var stream []byte
	for range 1000 {
		stream = frame.AppendAck(stream, 7, "10.0.0.1", 0, "", []byte(plainAttr))
	}
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		r := frame.NewReader(bytes.NewReader(stream), 1<<16)
		n := 0
		for _, err := r.Next(); err == nil; _, err = r.Next() {
			n++
		}
		if n != 1000 {
			b.Fatal(n)
		}
	}
}
