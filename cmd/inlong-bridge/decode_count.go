package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"inlong-bridge/sdk/frame"
)

// maxCounted bounds the rows of --count; what comes after them shares one row.
const maxCounted = 10_000

// decodeCount counts packs by stream and by the sender that made them.
type decodeCount struct {
	out    io.Writer
	asJSON bool
	rows   map[[3]string]*countRow
}

// countRow is a row of --count. Instance is the first half of the packs' mid, "" for packs without.
type countRow struct {
	Group    string `json:"group"`
	Stream   string `json:"stream"`
	Instance string `json:"instance"`
	Messages int64  `json:"messages"`
	Records  int64  `json:"records"`
	Bytes    int64  `json:"bytes"` // of the messages as they are stored
	Damaged  int64  `json:"damaged"`
}

func newDecodeCount(out io.Writer, asJSON bool) *decodeCount {
	return &decodeCount{out, asJSON, make(map[[3]string]*countRow)}
}

func (c *decodeCount) add(p *decodedPack) error {
	instance, _, _ := frame.ParseMid([]byte(p.mid))
	key := [3]string{p.group, p.stream, string(instance)}
	r := c.rows[key]
	if r == nil && len(c.rows) >= maxCounted {
		key = [3]string{"(all others)", "", ""}
		r = c.rows[key]
	}
	if r == nil {
		r = &countRow{Group: key[0], Stream: key[1], Instance: key[2]}
		c.rows[key] = r
	}
	r.Messages++
	r.Records += int64(len(p.records))
	r.Bytes += int64(len(p.Value))
	if p.err != nil {
		r.Damaged++
	}
	return nil
}

func (c *decodeCount) print() error {
	var rows []*countRow
	for _, r := range c.rows {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b *countRow) int {
		return slices.CompareFunc([]string{a.Group, a.Stream, a.Instance}, []string{b.Group, b.Stream, b.Instance}, strings.Compare)
	})
	if c.asJSON {
		e := json.NewEncoder(c.out)
		for _, r := range rows {
			if err := e.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	_, err := fmt.Fprintln(t, "GROUP\tSTREAM\tSENDER\tMESSAGES\tRECORDS\tBYTES\tDAMAGED")
	for _, r := range rows {
		word := func(s string) string {
			if s == "" {
				return "-"
			}
			return textOf([]byte(s), shownBytes, false)
		}
		_, e := fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\t%d\n", word(r.Group), word(r.Stream), word(r.Instance), r.Messages, r.Records, r.Bytes, r.Damaged)
		err = errors.Join(err, e)
	}
	return errors.Join(err, t.Flush())
}
