package names

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// A CollisionError says that two services would be one.
type CollisionError struct {
	Names [2]string // sorted
	// Addr is the address that both have; the zero Addr where they have the
	// same name in the DNS, which does not tell upper from lower case.
	Addr netip.Addr
	// Free is an address of the prefix that no service has; the zero Addr if
	// there is no prefix.
	Free netip.Addr
}

func (e *CollisionError) Error() string {
	both := fmt.Sprintf("services %q and %q", e.Names[0], e.Names[1])
	switch {
	case !e.Addr.IsValid():
		return both + " have the same name in the DNS, where upper case is lower case: give one of them another name"
	case !e.Free.IsValid():
		return fmt.Sprintf("%s both have the address %s: give one of them another", both, e.Addr)
	}
	return fmt.Sprintf("%s both have the address %s: give one of them another, such as %s", both, e.Addr, e.Free)
}

// Plan returns the address of each service: the one that it was given, else its
// Address within prefix. Where all were given one, the prefix may be the zero
// Prefix. Given addresses need not lie within it; IPv4 ones in IPv6 form are
// turned into IPv4. Plan keeps none of its arguments.
//
// The error holds everything that is wrong, joined, in an order that depends on
// the names only: *NameError, *CollisionError, and others for addresses that
// cannot be used.
func Plan(prefix netip.Prefix, given map[string]netip.Addr, names []string) (map[string]netip.Addr, error) {
	var errs []error
	if prefix != (netip.Prefix{}) {
		if err := CheckPrefix(prefix); err != nil {
			return nil, err
		}
	}
	names = slices.Sorted(slices.Values(names))
	plan := make(map[string]netip.Addr, len(names))
	byLabel := make(map[string]string, len(names))
	byAddr := make(map[netip.Addr]string, len(names))
	var collisions []*CollisionError
	for _, name := range names {
		if _, twice := plan[name]; twice {
			continue
		}
		if err := CheckName(name); err != nil {
			errs = append(errs, err)
			continue
		}
		addr, err := choose(prefix, given, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		plan[name] = addr
		if other, taken := byLabel[lower(name)]; taken {
			errs = append(errs, &CollisionError{Names: [2]string{other, name}})
			continue
		}
		byLabel[lower(name)] = name
		if other, taken := byAddr[addr]; taken {
			collision := &CollisionError{Names: [2]string{other, name}, Addr: addr}
			errs = append(errs, collision)
			collisions = append(collisions, collision)
			continue
		}
		byAddr[addr] = name
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, ok := slices.BinarySearch(names, name); !ok {
			errs = append(errs, fmt.Errorf("%q was given the address %s and is no service", name, given[name]))
		}
	}
	for _, c := range collisions {
		c.Free = free(prefix, c.Addr, byAddr)
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	return plan, nil
}

func choose(prefix netip.Prefix, given map[string]netip.Addr, name string) (netip.Addr, error) {
	addr, ok := given[name]
	if !ok {
		if !prefix.IsValid() {
			return addr, fmt.Errorf("service %q has no address: give it one, or set a prefix to take it from", name)
		}
		return Address(prefix, name), nil
	}
	addr = addr.Unmap()
	switch {
	case !addr.IsValid(), addr.IsUnspecified(), addr.IsMulticast():
		return addr, fmt.Errorf("service %q cannot have the address %q, which nobody can connect to", name, addr)
	case addr.Zone() != "":
		return addr, fmt.Errorf("service %q cannot have the address %q: the DNS cannot say %q", name, addr, "%"+addr.Zone())
	}
	return addr, nil
}

// free returns the first address from addr on, within prefix, that nobody has.
func free(prefix netip.Prefix, addr netip.Addr, taken map[netip.Addr]string) netip.Addr {
	for prefix.Contains(addr) {
		if _, ok := taken[addr]; !ok {
			// The last one of an IPv4 network is its broadcast address.
			if next := addr.Next(); addr.Is4() && !prefix.Contains(next) {
				break
			}
			return addr
		}
		addr = addr.Next()
	}
	return netip.Addr{}
}
