package sdk_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/finality"
)

// Alerts and documents go by the lists, so nothing may be missing in them.
func TestEveryCodeIsListedAndDocumented(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string][]string{}
	for _, d := range file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, spec := range g.Specs {
			v := spec.(*ast.ValueSpec)
			code, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			if typ := v.Type.(*ast.Ident).Name; code != "" {
				declared[typ] = append(declared[typ], code)
			}
		}
	}
	listed := map[string][]string{}
	for _, c := range sdk.EndpointCodes() {
		listed["EndpointCode"] = append(listed["EndpointCode"], string(c))
	}
	for _, c := range sdk.StreamCodes() {
		listed["StreamCode"] = append(listed["StreamCode"], string(c))
	}
	manual, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []string{"EndpointCode", "StreamCode"} {
		if !slices.Equal(declared[typ], listed[typ]) || len(listed[typ]) == 0 {
			t.Errorf("%s: declared are %v, listed %v", typ, declared[typ], listed[typ])
		}
		for _, c := range listed[typ] {
			if !strings.Contains(string(manual), "`"+c+"`") {
				t.Errorf("docs/operations.md does not explain %s %q", typ, c)
			}
		}
	}
}

func TestStatusNamesItsReasonsByCode(t *testing.T) {
	type codes struct {
		endpoint sdk.EndpointCode
		stream   sdk.StreamCode
	}
	for _, row := range []struct {
		name  string
		story func(e *env)
		opts  []sdk.Option
		want  codes
	}{
		{"well", func(*env) {}, nil, codes{sdk.EndpointOK, sdk.StreamOK}},
		{"proxy away", func(e *env) { e.proxies[0].Kill() }, nil, codes{sdk.EndpointNotConnected, sdk.StreamNoProxy}},
		{"full proxy", func(e *env) { e.proxies[0].Code(114, 1) }, nil, codes{sdk.EndpointRefuses, sdk.StreamProxiesPaused}},
		{"unknown stream", func(e *env) { e.proxies[0].DenyStream("g", "s", true) }, nil, codes{sdk.EndpointOK, sdk.StreamUnknown}},
		{"queue not watched", func(*env) {}, queueMode(&reader{watchErr: errors.New("no rights")}), codes{sdk.EndpointOK, sdk.StreamWatchFails}},
		{"nothing seen", func(*env) {}, queueMode(&reader{stopped: true}), codes{sdk.EndpointOK, sdk.StreamNeverSeen}},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e := setup(t, 1, row.opts...)
				synctest.Wait()
				e.sender.QueueAnswers(true)
				row.story(e)
				e.send(e.stream("s"), 5)
				settle(12 * time.Second)
				s := e.sender.Status()
				ep, st := s.Endpoints[0], s.Streams[0]
				if got := (codes{ep.Code, st.StallCode}); got != row.want {
					t.Errorf("codes %q (%s), want %q", got, ep.Reason+"; "+st.Stall, row.want)
				}
				if (ep.Code == "") != (ep.Reason == "") || (st.StallCode == "") != (st.Stall == "") {
					t.Errorf("a code without a sentence, or the reverse: %q %q, %q %q", ep.Code, ep.Reason, st.StallCode, st.Stall)
				}
			})
		})
	}
}

func queueMode(r *reader) []sdk.Option {
	return []sdk.Option{config(finality.Queue, nil), sdk.WithConfirmer(r)}
}
