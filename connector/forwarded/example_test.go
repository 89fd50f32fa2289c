package forwarded_test

import (
	"fmt"

	"inlong-bridge/connector/forwarded"
)

func ExampleFromAttrs() {
	r, err := forwarded.FromAttrs([]byte("k.key=customer%20%C3%BC&k.at=WIMEoYZb/orders/-/3/4711&h.trace=0af7&h.trace#2=!"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s at %d, %s, then null: %v\n", r.Key, r.Origin.Offset, r.Headers[0].Value, r.Headers[1].Value == nil)
	// Output: customer ü at 4711, 0af7, then null: true
}

func ExampleFromEnvelope() {
	r, err := forwarded.FromEnvelope([]byte(`{"key":"customer ü","headers":[{"name":"raw","value_base64":"AP8="}],"value":null}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s was deleted: %v, %x\n", r.Key, r.Value == nil, r.Headers[0].Value)
	// Output: customer ü was deleted: true, 00ff
}
