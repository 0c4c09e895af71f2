package apikey_test

import (
	"hash/crc32"
	"math/big"
	"strings"
)

// checksum is the CRC-32 of a text as six digits to the base 62, which math/big has in another order.
func checksum(text string) string {
	digits := new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(text)))).Text(62) // 0-9, a-z, A-Z
	digits = strings.Repeat("0", 6-len(digits)) + digits
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}, digits)
}
