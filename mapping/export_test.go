package mapping

import "errors"

// CheckID says why DataProxy, or a reader behind it, would refuse id as a group or stream id.
func CheckID(id string) error {
	if why := badID(id); why != "" {
		return errors.New(why)
	}
	return nil
}
