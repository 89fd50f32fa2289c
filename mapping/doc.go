// Package mapping decides which InLong (group, stream) a Kafka record belongs to.
//
// A Table is an ordered list of rules. The first rule whose topics match takes all records of a topic;
// its group and stream are templates that are filled in per record:
//
//	routes:
//	  - {topics: [orders, refunds], group: shop, stream: '{topic}'}
//	  - {topics: 'logs\.(?P<app>[a-z]+)', exclude: ['logs\.test'], group: logs, stream: '{app}'}
//	  - {topics: events, group: events, stream: '{header:type}', unmatched: skip}
//
// Topics. Each value of topics and exclude is a topic's name or a regular expression (RE2). It is a
// regular expression when it holds a character that no topic name may have, as \ * + ? ( ) [ ] { } | ^ $,
// or when it is written {regex: ...}; everything else, dots included, is a plain name. An expression must
// match the whole name. Internal topics (those that begin with __ or end in .internal, _schemas, and
// connect-configs, connect-offsets and connect-status) are matched by their plain names only. A topic that no
// rule matches is not consumed.
//
// Templates. {topic} is the topic's name, {name} and {1} are captures of the rule's expression, {key} is
// the record's key and {header:name} the last header of that name. Everything else stands for itself.
//
// Ids. What comes out must be an id that DataProxy accepts: 1 to MaxID printable ASCII characters
// without blanks, '&' and '='. What happens when it is not, or when the key or header is missing, is the
// rule's unmatched: error (the default: the record's partition stops), skip (the record is counted and
// passed over), or a fixed {group, stream}.
//
// Parse reports every mistake at once, each with its line. A Table never changes and is safe to share; it
// starts no goroutine.
package mapping
