// Package discovery asks the DNS which services a zone has, with the records of
// DNS-based service discovery (RFC 6763) that docs/names.md describes: a list of
// _pipe._tcp, and for each of its entries the host, the port and a line of summary.
//
// In go the name of a zone and, where it shall not be the system's, a name server; out
// come services, or an error that says why there are none. What comes from the DNS is
// text of others: names are in the presentation form of RFC 1035, a summary is as it
// was sent. Nothing is kept between two calls.
package discovery
