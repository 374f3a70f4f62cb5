package names

import (
	"crypto/sha256"
	"fmt"
	"math/big"
	"net/netip"
)

// hashLabel comes before the name in what is hashed. Another scheme would have
// another label.
const hashLabel = "rpipe service address v1\x00"

// Bounds of a prefix: below 8 bits of host part a few names already collide.
const (
	minPrefixBits = 8
	minHostBits   = 8
)

// Address returns the address of the service called name within prefix, whose
// host bits are ignored. It is the same on every host and in every version:
//
//	h = SHA-256("rpipe service address v1" 00 name), name in lower case (ASCII)
//	n = bits of the host part
//	host part = 1 + h mod (2^n - 2)
//
// with h as a big-endian number. The host part is never all zeros (the network,
// and the subnet-router anycast address of RFC 4291 section 2.6.1) nor all
// ones (IPv4 broadcast). Two names may have the same address: see [Plan].
//
// The zero Addr is returned for a prefix that CheckPrefix refuses for its length
// or its kind. The name is not checked.
func Address(prefix netip.Prefix, name string) netip.Addr {
	if checkBits(prefix) != nil {
		return netip.Addr{}
	}
	base := prefix.Masked().Addr()
	hash := sha256.Sum256([]byte(hashLabel + lower(name)))
	host := new(big.Int).SetBytes(hash[:])
	size := new(big.Int).Lsh(big.NewInt(1), uint(base.BitLen()-prefix.Bits()))
	host.Mod(host, size.Sub(size, big.NewInt(2)))
	host.Add(host, big.NewInt(1))

	bytes := base.AsSlice()
	host.Add(host, new(big.Int).SetBytes(bytes)) // the prefix's host part is 0: no carry
	addr, _ := netip.AddrFromSlice(host.FillBytes(bytes))
	return addr
}

// CheckPrefix returns nil if services can have addresses from prefix: IPv6 of
// length 8 to 120, or IPv4 of length 8 to 24, without host bits.
func CheckPrefix(prefix netip.Prefix) error {
	if err := checkBits(prefix); err != nil {
		return err
	}
	if masked := prefix.Masked(); masked != prefix {
		return fmt.Errorf("prefix %q has bits set behind its length: write %q", prefix, masked)
	}
	return nil
}

func checkBits(prefix netip.Prefix) error {
	addr := prefix.Addr()
	switch most := addr.BitLen() - minHostBits; {
	case !prefix.IsValid():
		return fmt.Errorf("the prefix is none: write one such as %q", "2001:db8:7::/64")
	case addr.Is4In6():
		return fmt.Errorf("prefix %q holds IPv4 addresses in IPv6 form: write it as IPv4", prefix)
	case addr.IsMulticast():
		return fmt.Errorf("prefix %q is multicast, which nobody can connect to", prefix)
	case prefix.Bits() < minPrefixBits:
		return fmt.Errorf("prefix %q is too large: its length may be %d to %d", prefix, minPrefixBits, most)
	case prefix.Bits() > most:
		return fmt.Errorf("prefix %q is too small for addresses made from names: its length may be %d to %d; or give each service an address",
			prefix, minPrefixBits, most)
	}
	return nil
}
