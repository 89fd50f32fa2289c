package mapping_test

import (
	"fmt"

	"gopkg.in/yaml.v3"

	"inlong-bridge/mapping"
)

func ExampleParse() {
	var routes yaml.Node
	_ = yaml.Unmarshal([]byte(`
- {topics: orders, group: shop, stream: orders}
- {topics: 'logs\.(?P<app>[a-z]+)', group: logs, stream: '{app}'}
- {topics: events, group: events, stream: '{header:type}', unmatched: skip}
`), &routes)
	table, problems := mapping.Parse(&routes)
	fmt.Println(len(problems), "problems")

	// Once per topic; what is fixed needs no look-up per record.
	fmt.Println(*table.ForTopic("logs.web").Fixed)

	events := table.ForTopic("events")
	target, result, _ := events.Route(nil, func() []mapping.Header {
		return []mapping.Header{{Key: "type", Value: []byte("created")}}
	})
	fmt.Println(target, result)
	_, result, _ = events.Route(nil, func() []mapping.Header { return nil })
	fmt.Println(result)
	// Output:
	// 0 problems
	// logs.web
	// events.created routed
	// skip
}

func ExampleTable_Explain() {
	var routes yaml.Node
	_ = yaml.Unmarshal([]byte(`
- {topics: orders, group: shop, stream: orders}
- {topics: '(\w+)\.(\w+)', exclude: '.*\.test', group: '{1}', stream: '{2}'}
`), &routes)
	table, _ := mapping.Parse(&routes)
	fmt.Print(table.Explain("logs.web", nil, nil))
	// Output:
	// topic   logs.web
	// rule 1  no   line 2: topics "orders" do not match
	// rule 2  yes  line 3: expression "(\\w+)\\.(\\w+)" matches, {1} is "logs", {2} is "web"
	// result  group logs, stream web
}
