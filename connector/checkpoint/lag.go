package checkpoint

// Lag returns how many offsets lie between what is done and the end of the log. What retention removed before it was
// done is no lag any more. The result is never negative: an end that was asked for a while ago may lie below what is
// done by now.
func Lag(done, logStart, end int64) int64 {
	return max(0, end-max(done, logStart))
}
