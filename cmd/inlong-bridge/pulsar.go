//go:build !nopulsar

package main

import (
	"context"

	"inlong-bridge/connector/kafkahandler"
	"inlong-bridge/connector/pulsarhandler"
)

func (p *pulsarPlace) cluster() pulsarhandler.Cluster {
	return pulsarhandler.Cluster{ServiceURL: p.serviceURL, Tenant: p.tenant, Namespace: p.namespace, Topic: p.topic, Token: p.token}
}

// openPulsarQueue opens a queue that is written as DataProxy's PulsarHandler does.
func openPulsarQueue(places ...pulsarPlace) (pulsarQueue, error) {
	var clusters []pulsarhandler.Cluster
	for i := range places {
		clusters = append(clusters, places[i].cluster())
	}
	return pulsarhandler.New(clusters...)
}

// readPulsarQueue calls f for each pack that lies in a topic now.
func readPulsarQueue(ctx context.Context, p *pulsarPlace, topic string, f func(*kafkahandler.Pack)) error {
	return pulsarhandler.ReadAll(ctx, p.cluster(), []string{topic}, func(p pulsarhandler.Pack) error {
		f(&p.Pack)
		return nil
	})
}
