// Package sdkprom shows what a sender does as Prometheus metrics. The values are read from the
// sender's status when they are scraped; nothing is counted twice, and nothing costs anything between
// scrapes.
//
// The number of series is bounded: by the proxies, each with at most 64 error codes and one for the
// rest, and by sdk.WithMetricStreams, beyond which groups and streams are added up in one named other.
package sdkprom
