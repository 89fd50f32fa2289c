// Package mapping decides which InLong (group, stream) a Kafka record belongs to.
//
// A Table is an ordered list of rules. The first rule whose topics match takes all records of a topic;
// its group and stream are templates, which each record fills in:
//
//	routes:
//	  - {topics: [orders, refunds], group: shop, stream: '{topic}'}
//	  - {topics: 'logs\.(?P<app>[a-z]+)', exclude: ['logs\.test'], group: logs, stream: '{app}'}
//	  - {topics: events, group: events, stream: '{header:type}', unmatched: skip}
//
// Topics. Each value of topics and exclude is a topic's name or a regular expression (RE2). It is a
// regular expression if it contains a character that no topic name may have, such as \ * + ? ( ) [ ] { } | ^ $,
// or if it is written as {regex: ...}. Everything else, even with dots, is a plain name. An expression must
// match the whole name. Internal topics (those that begin with __ or end in .internal, _schemas, and
// connect-configs, connect-offsets and connect-status) match only their plain names. A topic that no rule matches
// is not consumed.
//
// Templates. {topic} is the topic's name, {name} and {1} are captures of the rule's expression, {key} is
// the record's key and {header:name} the last header of that name. Everything else stands for itself.
//
// Ids. A filled template must be an id that DataProxy accepts: 1 to MaxID printable ASCII characters without
// blanks, '&' and '='. The rule's unmatched says what happens if it is not, or if the key or header is missing:
// error (the default) stops the record's partition, skip counts the record and passes over it, and a fixed
// {group, stream} takes it. on_error says instead of it, and for the other reasons for which a record cannot be
// delivered (see Class), whether the partition stops, the record is skipped, or it goes to the dead-letter topic.
//
// Content. forward, envelope, tombstone and attrs of a rule say what travels besides the value of a record, in which form, and
// what becomes of a null or empty value; see Content.
//
// Parse reports every mistake at once, each with its line. A Table never changes and is safe to share; it
// starts no goroutine.
package mapping
