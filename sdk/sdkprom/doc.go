// Package sdkprom shows what a sender does as Prometheus metrics. The values are read from the
// sender's status when they are scraped; nothing is counted twice, and nothing costs anything between
// scrapes.
//
// The number of series is bounded by proxies, error codes, and (group, stream) pairs.
package sdkprom
