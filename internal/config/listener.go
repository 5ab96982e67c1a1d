package config

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// The security protocols of listeners.
const (
	Plaintext     = "PLAINTEXT"
	SSL           = "SSL"
	SASLPlaintext = "SASL_PLAINTEXT"
	SASLSSL       = "SASL_SSL"
)

// Listener is an address under a name, either one to listen on or one to tell to others.
type Listener struct {
	Name     string // upper case
	Host     string // "" stands for every address
	Port     int    // 0: any free one
	Protocol string // security protocol
	// Controller tells that it serves the controller protocol (it stands in controller.listener.names).
	Controller bool
	// MadeUp tells that no setting names it: a node without controller listener got one on loopback.
	MadeUp bool
}

// Address returns host:port as net.Listen and net.Dial take it.
func (l Listener) Address() string { return net.JoinHostPort(l.Host, strconv.Itoa(l.Port)) }

// String returns the listener as it is written in a file.
func (l Listener) String() string { return l.Name + "://" + l.Address() }

// splitHostPort parts host:port; IPv6 addresses stand in brackets.
func splitHostPort(s string) (host string, port int, ok bool) {
	h, p, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, false
	}
	n, err := strconv.Atoi(p)
	if err != nil || n < 0 || n > 65535 || h == "" {
		return "", 0, false
	}
	return h, n, true
}

const listenerForm = "each entry has the form NAME://host:port, for example PLAINTEXT://0.0.0.0:9092"

// parseListener reads one entry of listeners or advertised.listeners.
func parseListener(key, entry string, protocols map[string]string) (Listener, error) {
	name, rest, ok := strings.Cut(entry, "://")
	if !ok || name == "" {
		return Listener{}, &Error{Key: key, Value: entry, Reason: listenerForm}
	}
	h, p, err := net.SplitHostPort(rest)
	if err != nil {
		return Listener{}, &Error{Key: key, Value: entry, Reason: listenerForm}
	}
	port, err := strconv.Atoi(p)
	if err != nil || port < 0 || port > 65535 {
		return Listener{}, &Error{Key: key, Value: entry, Reason: "the port must be a number from 0 to 65535"}
	}
	l := Listener{Name: strings.ToUpper(name), Host: h, Port: port}
	if l.Protocol, ok = protocols[l.Name]; !ok {
		return Listener{}, &Error{Key: key, Value: entry, Reason: fmt.Sprintf(
			"listener.security.protocol.map has no security protocol for listener %s (it maps %s)", l.Name, joinKeys(protocols))}
	}
	return l, nil
}

// parseListeners reads a whole list and refuses two of one name, and two on one port if ports must differ.
// As in Kafka one IPv4 and one IPv6 address may share a port.
func parseListeners(key string, entries []string, protocols map[string]string, distinctPorts bool) ([]Listener, error) {
	out := make([]Listener, 0, len(entries))
	for _, e := range entries {
		l, err := parseListener(key, e, protocols)
		if err != nil {
			return nil, err
		}
		for _, o := range out {
			if o.Name == l.Name {
				return nil, &Error{Key: key, Value: strings.Join(entries, ","), Reason: "each listener must have a different name, but " + l.Name + " stands there twice"}
			}
			if distinctPorts && l.Port != 0 && o.Port == l.Port && !sharedPortAllowed(o, l) {
				return nil, &Error{Key: key, Value: strings.Join(entries, ","), Reason: fmt.Sprintf(
					"each listener must have a different port, but %s and %s both have %d", o.Name, l.Name, l.Port)}
			}
		}
		out = append(out, l)
	}
	return out, nil
}

// sharedPortAllowed tells whether a and b are one IPv4 and one IPv6 address.
func sharedPortAllowed(a, b Listener) bool {
	x, y := net.ParseIP(a.Host), net.ParseIP(b.Host)
	if x == nil || y == nil {
		return false
	}
	return (x.To4() == nil) != (y.To4() == nil)
}

// parseProtocolMap reads listener.security.protocol.map.
func parseProtocolMap(raw string) (map[string]string, error) {
	const key = "listener.security.protocol.map"
	out := map[string]string{}
	for _, e := range splitList(strings.TrimSpace(raw)) {
		name, protocol, ok := strings.Cut(e, ":")
		name, protocol = strings.ToUpper(strings.TrimSpace(name)), strings.ToUpper(strings.TrimSpace(protocol))
		if !ok || name == "" {
			return nil, &Error{Key: key, Value: raw, Reason: "each entry has the form NAME:PROTOCOL, but one is " + strconv.Quote(e)}
		}
		switch protocol {
		case Plaintext, SSL, SASLPlaintext, SASLSSL:
		default:
			return nil, &Error{Key: key, Value: raw, Reason: fmt.Sprintf("the protocol of %s must be one of: PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL", name)}
		}
		if _, twice := out[name]; twice {
			return nil, &Error{Key: key, Value: raw, Reason: "listener " + name + " stands there twice"}
		}
		out[name] = protocol
	}
	return out, nil
}

// Voter is an entry of controller.quorum.voters.
type Voter struct {
	ID   int32
	Host string
	Port int
}

func parseVoters(entries []string) ([]Voter, error) {
	const key = "controller.quorum.voters"
	bad := &Error{Key: key, Value: strings.Join(entries, ","),
		Full: "Invalid configuration value for controller.quorum.voters. Each entry should be in the form `{id}@{host}:{port}`."}
	out := make([]Voter, 0, len(entries))
	for _, e := range entries {
		id, addr, ok := strings.Cut(e, "@")
		n, err := strconv.ParseInt(id, 10, 32)
		if !ok || err != nil || n < 0 {
			return nil, bad
		}
		host, port, ok := splitHostPort(addr)
		if !ok {
			return nil, bad
		}
		out = append(out, Voter{ID: int32(n), Host: host, Port: port})
	}
	return out, nil
}

// ConnectionsPerAddress reads max.connections.per.ip.overrides: host name or address → how many connections it may
// have open.
func (s *Set) ConnectionsPerAddress() (map[string]int, error) {
	const key = "max.connections.per.ip.overrides"
	raw := s.String(key)
	if raw == "" {
		return nil, nil
	}
	out := map[string]int{}
	for _, e := range splitList(raw) {
		at := strings.LastIndexByte(e, ':')
		if at <= 0 {
			return nil, &Error{Key: key, Value: raw, Reason: "each entry has the form address:number"}
		}
		n, err := strconv.Atoi(strings.TrimSpace(e[at+1:]))
		if err != nil || n < 0 {
			return nil, &Error{Key: key, Value: raw, Reason: "each entry has the form address:number"}
		}
		out[strings.Trim(strings.TrimSpace(e[:at]), "[]")] = n
	}
	return out, nil
}
