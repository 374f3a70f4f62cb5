package serve

import (
	"fmt"
	"net/netip"
)

// A NoRouteError says that what is sent to the addresses of a prefix does not come to this
// host: no local route covers it.
type NoRouteError struct {
	Prefix netip.Prefix
}

func (e *NoRouteError) Error() string {
	return fmt.Sprintf("the addresses of services from %s are not this host's: it has no local route for them", e.Prefix)
}

// Hint returns the next step.
func (e *NoRouteError) Hint() string {
	family := "-6"
	if e.Prefix.Addr().Is4() {
		family = "-4"
	}
	return fmt.Sprintf("add it with: ip %s route add local %s dev lo, or let rpiped --anyip do that (CAP_NET_ADMIN)", family, e.Prefix.Masked())
}
