package alerts

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"inlong-bridge/connector/reason"
)

const (
	operationsPage = "../../docs/operations.md"
	causesBegin    = "      # The causes below are made from the table of reason codes: go test ./deploy/alerts -update\n"
)

// follows says which causes bring a code about. Its alert is silent while one of them is there, so that one cause is
// one page. A code that stands alone whatever else is wrong is not here.
var follows = map[reason.Code][]reason.Code{
	reason.Rebalance:     {reason.Source},
	reason.Commit:        {reason.Source, reason.Rebalance},
	reason.Fault:         {reason.Source},
	reason.NotFetched:    {reason.Source, reason.Rebalance, reason.Fault},
	reason.Reread:        {reason.Source, reason.Fault, reason.NoProxy},
	reason.NoAck:         {reason.NoProxy, reason.Queue},
	reason.NotInQueue:    {reason.NoProxy, reason.Queue, reason.NoAck, reason.WrapType},
	reason.NotSeen:       {reason.NoProxy, reason.Queue, reason.NoAck, reason.WrapType, reason.NotInQueue},
	reason.StreamStalled: {reason.NoProxy, reason.Queue, reason.NoAck, reason.NotSeen, reason.UnknownStream, reason.NotInQueue, reason.WrapType, reason.Refused},
	reason.Endpoint:      {reason.NoProxy},
	reason.Overdue:       pages(reason.Overdue),
	// Full bounds tell that something does not move. A ticket is due where nothing else says what.
	reason.Budget:     append(pages(), reason.Rate),
	reason.Rate:       pages(),
	reason.WindowFull: pages(),
	reason.MaxUnfinal: pages(),
	reason.StreamFull: pages(),
}

// pages returns the codes that page, but for some.
func pages(but ...reason.Code) (codes []reason.Code) {
	for _, k := range reason.Kinds() {
		if k.Severity == reason.Page && !slices.Contains(but, k.Code) {
			codes = append(codes, k.Code)
		}
	}
	return codes
}

// lasting is for how long a cause must be there.
func lasting(k *reason.Kind) string {
	switch {
	case k.Severity == reason.Ticket:
		return "15m"
	case k.Stops:
		return "1m"
	case k.Code == reason.NoProxy || k.Code == reason.Queue:
		return "2m"
	}
	return "5m"
}

// alertOf is the name of a code's alert.
func alertOf(c reason.Code) string {
	name := "InlongBridge"
	for word := range strings.SplitSeq(string(c), "_") {
		name += strings.ToUpper(word[:1]) + word[1:]
	}
	return name
}

func matcher(codes ...reason.Code) string {
	if len(codes) == 1 {
		return fmt.Sprintf("code=%q", codes[0])
	}
	var names []string
	for _, c := range codes {
		names = append(names, string(c))
	}
	return fmt.Sprintf("code=~%q", strings.Join(names, "|"))
}

// causeRules are the rules of the reason codes that page or ask for a ticket. What to do is taken from docs/operations.md.
func causeRules(t *testing.T) string {
	t.Helper()
	advice := codeEntries(t)
	var out strings.Builder
	present := func(codes ...reason.Code) {
		fmt.Fprintf(&out, "          sum by (namespace, job, group) (\n            inlong_bridge_reasons{%s} * on (namespace, job, instance) group_left (group) inlong_bridge_info\n          ) > 0\n", matcher(codes...))
	}
	for _, k := range reason.Kinds() {
		if k.Severity == reason.Info {
			continue
		}
		fmt.Fprintf(&out, "\n      - alert: %s\n        expr: |-\n", alertOf(k.Code))
		present(k.Code)
		if causes := follows[k.Code]; len(causes) > 0 {
			out.WriteString("          unless on (namespace, job, group)\n")
			present(causes...)
		}
		where := "Bridge of the group {{ $labels.group }} (job {{ $labels.job }})"
		if slices.Equal(k.Scopes, []reason.Scope{reason.Partition}) {
			where += ", {{ $value }} partitions"
		}
		fmt.Fprintf(&out, "        for: %s\n        labels: {severity: %s, code: %s}\n        annotations:\n", lasting(&k), k.Severity, k.Code)
		fmt.Fprintf(&out, "          summary: %q\n", k.Meaning+" "+where+".")
		fmt.Fprintf(&out, "          action: %q\n", plain(advice[string(k.Code)]))
	}
	return out.String()
}

var linkRE = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)

// plain is a cell of a Markdown table without its marks.
func plain(cell string) string {
	text := strings.ReplaceAll(linkRE.ReplaceAllString(cell, "$1"), "`", "")
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// codeEntries returns what docs/operations.md says to do about each reason code.
func codeEntries(t *testing.T) map[string]string {
	t.Helper()
	return entries(t, "## Reason codes", 4)
}

// entries returns the last cell of each row of the first table below a heading of docs/operations.md, by its first cell.
func entries(t *testing.T, heading string, cells int) map[string]string {
	t.Helper()
	data, err := os.ReadFile(operationsPage)
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(data), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("%s has no section %q", operationsPage, heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	rows := make(map[string]string)
	for line := range strings.Lines(section) {
		row := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		name := strings.Trim(strings.TrimSpace(row[0]), "`")
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		if len(row) != cells {
			t.Errorf("%s: the row of %s has %d cells, want %d", heading, name, len(row), cells)
			continue
		}
		for i := range row {
			if strings.TrimSpace(row[i]) == "" {
				t.Errorf("%s: cell %d of the row of %s is empty", heading, i+1, name)
			}
		}
		if _, twice := rows[name]; twice {
			t.Errorf("%s: there are two rows of %s", heading, name)
		}
		rows[name] = strings.TrimSpace(row[cells-1])
	}
	return rows
}

func TestEveryReasonCodeHasAnEntry(t *testing.T) {
	rows := codeEntries(t)
	for _, k := range reason.Kinds() {
		if _, ok := rows[string(k.Code)]; !ok {
			t.Errorf("docs/operations.md has no entry for the reason code %s", k.Code)
		}
		delete(rows, string(k.Code))
	}
	for code := range rows {
		t.Errorf("docs/operations.md has an entry for %s, which is no reason code", code)
	}
}

func TestEveryAlertHasAnEntry(t *testing.T) {
	rows := entries(t, "## Alerts", 3)
	for _, rule := range readRules(t) {
		if _, ok := rows[rule.Alert]; !ok && rule.Labels["code"] == "" { // the others have the entry of their code
			t.Errorf("docs/operations.md has no entry for the alert %s", rule.Alert)
		}
		delete(rows, rule.Alert)
	}
	for name := range rows {
		t.Errorf("docs/operations.md has an entry for %s, which is no alert", name)
	}
}

func TestRulesOfCausesFollowTheTableOfReasonCodes(t *testing.T) {
	data, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	byHand, got, ok := strings.Cut(string(data), causesBegin)
	if !ok {
		t.Fatalf("%s has no line %q", rulesFile, strings.TrimSpace(causesBegin))
	}
	want := causeRules(t)
	if *update {
		if err := os.WriteFile(rulesFile, []byte(byHand+causesBegin+want), 0o600); err != nil {
			t.Fatal(err)
		}
		got = want
	}
	if got != want {
		t.Errorf("the rules of causes are not what the table of reason codes says; run go test ./deploy/alerts -update")
	}
	// Rules by hand that are silent while a cause pages have the list of codes.
	for _, list := range regexp.MustCompile(`code=~"([^"]*\|[^"]*)"`).FindAllStringSubmatch(byHand, -1) {
		codes := strings.SplitSeq(list[1], "|")
		for code := range codes {
			if !slices.ContainsFunc(reason.Kinds(), func(k reason.Kind) bool { return string(k.Code) == code }) {
				t.Errorf("the rules speak of %s, which is no reason code", code)
			}
		}
	}
	if !strings.Contains(byHand, "InlongBridgeNotReady\n") || !strings.Contains(byHand, "{"+matcher(pages()...)+"}") {
		t.Errorf("InlongBridgeNotReady is not silent while a cause pages: its list must be {%s}", matcher(pages()...))
	}
}

func TestCausesFollowFromNoneThatFollowsFromThem(t *testing.T) {
	var reaches func(from, to reason.Code, depth int) bool
	reaches = func(from, to reason.Code, depth int) bool {
		for _, c := range follows[from] {
			if c == to || depth < 10 && reaches(c, to, depth+1) {
				return true
			}
		}
		return false
	}
	for code := range follows {
		if reaches(code, code, 0) {
			t.Errorf("the alert of %s is silent while one of its consequences is there: neither would fire", code)
		}
	}
}
