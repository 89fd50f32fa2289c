package sdk

import "inlong-bridge/sdk/engine"

// AckCodes returns the error codes with which a proxy may answer a sound pack, so that it is sent again. Metrics have
// a series for each from the start: one that appears with its first answer has no increase.
func AckCodes() []int { return engine.RetryableCodes() }
