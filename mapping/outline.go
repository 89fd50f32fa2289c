package mapping

import "gopkg.in/yaml.v3"

// Outline is what single rules say that other parts of a configuration decide about. Rules in which Parse finds mistakes are among
// them, so that all mistakes can be told together.
type Outline struct {
	Attrs          []RuleAttrs // of the packs of each rule that has some
	DeadLetterRule int         // number of the first rule that wants dead letters; 0 where none does
	DeadLetterLine int
}

// OutlineOf reads the value of routes as far as it can be read.
func OutlineOf(routes *yaml.Node) (o Outline) {
	for _, r := range (&parser{}).rules(routes) {
		if len(r.attrs) > 0 {
			o.Attrs = append(o.Attrs, RuleAttrs{r.number, r.attrs[0].Line, r.attrs})
		}
		if o.DeadLetterRule == 0 && r.deadLetters() {
			o.DeadLetterRule, o.DeadLetterLine = r.number, r.line
		}
	}
	return o
}
