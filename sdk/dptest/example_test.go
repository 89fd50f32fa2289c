package dptest_test

import (
	"context"
	"fmt"

	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/frame"
)

// A pack that was acked is gone when the proxy dies before it has moved the pack on.
func Example() {
	var network dptest.Network
	queue := dptest.NewMemoryQueue(1, 1)
	queue.Stall(0) // so that the proxy cannot have moved the pack on, however late it is killed
	p, err := dptest.NewProxy(queue, dptest.WithNetwork(&network))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = p.Close() }()

	conn, err := network.DialContext(context.Background(), "tcp", p.Addr())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = conn.Close() }()
	pack := frame.Pack{
		Ext: frame.ExtStringIDs, Count: 2,
		Body: frame.AppendItem(frame.AppendItem(nil, []byte("one")), []byte("two")),
		Attr: []byte("groupId=shop&streamId=orders&rtms=1760000000123"),
	}
	request, err := pack.AppendTo(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := conn.Write(request); err != nil {
		fmt.Println(err)
		return
	}
	reply, err := frame.NewReader(conn, 1<<16).Next()
	if err != nil {
		fmt.Println(err)
		return
	}
	ack, err := frame.DecodeAck(reply)
	fmt.Println("code", ack.Code, err)

	packs, records := p.Kill()
	fmt.Println("lost", packs, "pack of", records, "records; in the queue:", queue.Len())
	fmt.Println("restarted:", p.Restart())
	// Output:
	// code 0 <nil>
	// lost 1 pack of 2 records; in the queue: 0
	// restarted: <nil>
}
