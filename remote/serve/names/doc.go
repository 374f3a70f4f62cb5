// Package names gives services addresses and a place in the DNS.
//
// In go the names of services, a prefix and the name of a zone; out come an
// address for each of them ([Plan]), zones of authority ([NewZones]) and a
// name server for these ([Server]). The package opens no sockets: it is given
// those it serves on, and closes them.
//
// # Addresses
//
// The address of a service is a hash of its name within the prefix. Its
// definition, with test vectors, is docs/names.md; it never changes, since the
// addresses stand in the zones and firewalls of others.
//
// # Answers
//
// The server is authoritative for its zones and nothing else: it asks nobody, so it
// never recurses, and refuses what lies outside. What it answers is what NSD
// answers from the zone file that [Zone.WriteTo] prints. It answers a
// UDP source network only so often (see [Server.Rate]) and holds a bounded
// number of TCP connections.
//
// # Who owns what
//
// [Zones] do not change after they were made, so any number of goroutines may
// read them; a reload makes new ones and swaps them with [Server.SetZones]. A
// Server owns the sockets that it was given and the goroutines that read them.
// Shutdown and Close wait for all of these.
package names
