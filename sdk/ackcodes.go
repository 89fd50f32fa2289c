package sdk

// AckCodes returns the error codes with which a proxy may answer a sound pack, so that it is sent again. Metrics have
// a series for each from the start: one that appears with its first answer has no increase.
func AckCodes() []int {
	var codes []int
	for _, v := range verdicts {
		if v.class != accepted && v.class != refusedForGood {
			codes = append(codes, v.code)
		}
	}
	return codes
}
