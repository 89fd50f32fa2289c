//go:build nopulsar

package main

import (
	"context"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/kafkahandler"
)

func openPulsarQueue(...pulsarPlace) (pulsarQueue, error) { return nil, config.ErrNoPulsar }

func readPulsarQueue(context.Context, *pulsarPlace, string, func(*kafkahandler.Pack)) error {
	return config.ErrNoPulsar
}
