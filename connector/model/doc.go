// Package model holds no product code: its tests run the rules of delivery (sdk/finality,
// connector/checkpoint, the positions of connector/confirm) through random schedules of faults against a
// dumb oracle that knows only what lies in the queue and what is committed.
//
// World (world_test.go): Kafka partitions with holes, proxies that ack from memory, queue clusters
// with partitions. Bridge (bridge_test.go): the thinnest glue around the rules. Oracle
// (oracle_test.go): nothing committed is missing; when faults end everything becomes final within a
// bounded time; duplicates stay within what was not final at each fault, plus the probes; the tables
// end empty. deploy/dev/mutations breaks the rules one by one and shows that each break is caught.
package model
