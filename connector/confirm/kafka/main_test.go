package kafka_test

import (
	"testing"

	"inlong-bridge/sdk/dptest/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }
