// Package quota holds clients to what they may use: bytes produced and consumed, time of request handlers, partitions
// made and deleted (KIP-13, KIP-55, KIP-124, KIP-599), and connections by address (KIP-612). Node pushes the quotas of
// the metadata whenever they change; a Manager measures and says for how long somebody has to be held back.
//
// It holds nobody back itself: handler and server do, by answering at once with the time and not reading the
// connection for as long (KIP-219).
package quota
