package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// plot is one figure: a value with its least and greatest for each of a few points.
type plot struct {
	title, x, y string
	points      []plotPoint
}

// plotPoint is a point of a plot. goal is the most that the value should be, 0 for none.
type plotPoint struct {
	label string
	value spread
	goal  float64
}

const (
	plotWidth, plotHeight                    = 640, 320
	plotLeft, plotRight, plotTop, plotBottom = 64, 16, 40, 56
)

// svg draws the plot. The colours are readable on light and on dark, and the text needs no font of its own.
func (p *plot) svg() string {
	top := 1.5
	for _, q := range p.points {
		top = max(top, q.value.most*1.05, q.goal*1.1)
	}
	top = math.Ceil(top*4) / 4
	y := func(v float64) float64 { return plotHeight - plotBottom - v/top*(plotHeight-plotTop-plotBottom) }
	step := float64(plotWidth-plotLeft-plotRight) / float64(len(p.points))
	x := func(i int) float64 { return plotLeft + (float64(i)+0.5)*step }

	var out strings.Builder
	add := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	add(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="%s">`,
		plotWidth, plotHeight, plotWidth, plotHeight, html.EscapeString(p.title))
	add(`<style>
text{font:13px sans-serif;fill:#333}.title{font-size:15px;font-weight:bold}.axis{stroke:#777}.grid{stroke:#777;stroke-opacity:.25}
.line,.range{stroke:#1f6feb;fill:none;stroke-width:2}.dot{fill:#1f6feb}.goal{stroke:#c9510c;stroke-width:2;stroke-dasharray:6 4}
@media(prefers-color-scheme:dark){text{fill:#ddd}.line,.range{stroke:#58a6ff}.dot{fill:#58a6ff}.goal{stroke:#f0883e}}
</style>`)
	add(`<text class="title" x="%d" y="22">%s</text>`, plotLeft, html.EscapeString(p.title))
	ticks := 0.25
	for top/ticks > 8 {
		ticks *= 2
	}
	for v := 0.0; v <= top; v += ticks {
		add(`<line class="grid" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/>`, plotLeft, y(v), plotWidth-plotRight, y(v))
		add(`<text x="%d" y="%.1f" text-anchor="end">%.2f</text>`, plotLeft-8, y(v)+4, v)
	}
	add(`<line class="axis" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/>`, plotLeft, y(0), plotWidth-plotRight, y(0))
	add(`<line class="axis" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/>`, plotLeft, y(0), plotLeft, y(top))
	add(`<text x="%d" y="%d" text-anchor="middle">%s</text>`, (plotLeft+plotWidth-plotRight)/2, plotHeight-12, html.EscapeString(p.x))
	add(`<text transform="translate(16 %d) rotate(-90)" text-anchor="middle">%s</text>`, (plotTop+plotHeight-plotBottom)/2, html.EscapeString(p.y))
	var line []string
	for i, q := range p.points {
		if q.goal > 0 {
			add(`<line class="goal" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"><title>goal: at most %.2f</title></line>`, x(i)-step/2, y(q.goal), x(i)+step/2, y(q.goal), q.goal)
		}
		line = append(line, fmt.Sprintf("%.1f,%.1f", x(i), y(q.value.median)))
	}
	add(`<polyline class="line" points="%s"/>`, strings.Join(line, " "))
	for i, q := range p.points {
		add(`<line class="range" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`, x(i), y(q.value.least), x(i), y(q.value.most))
		add(`<circle class="dot" cx="%.1f" cy="%.1f" r="5"><title>%s: %s</title></circle>`, x(i), y(q.value.median), html.EscapeString(q.label), q.value)
		add(`<text x="%.1f" y="%.1f">%.2f</text>`, x(i)+9, y(q.value.median)-7, q.value.median)
		add(`<text x="%.1f" y="%d" text-anchor="middle">%s</text>`, x(i), plotHeight-plotBottom+20, html.EscapeString(q.label))
	}
	out.WriteString("</svg>\n")
	return out.String()
}
