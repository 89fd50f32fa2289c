package route

import "hash/crc32"

// KeyLanes is in how many lanes the records of a partition travel with delivery.order: key. A checkpoint.Origin holds the number of
// one in a byte.
const KeyLanes = 64

var laneTable = crc32.MakeTable(crc32.Castagnoli) // has instructions of its own on most processors

// Lane is the lane of a record with this key, of n lanes. Records without a key have the first to themselves.
func Lane(key []byte, n int) uint8 {
	if n <= 1 || key == nil {
		return 0
	}
	return uint8(1 + crc32.Checksum(key, laneTable)%uint32(n-1)) //nolint:gosec // below KeyLanes
}
