package doctor

import (
	"crypto/x509"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/weir-stream/weir/internal/config"
)

// facts are everything that the checks look at. What is not known stays empty, and is named in unknown.
type facts struct {
	target  string
	now     time.Time
	unknown []string
	nodes   []*node
	// cluster is nil where only a file was read.
	cluster *cluster
}

// node is a broker, or the file of one.
type node struct {
	where    string
	file     string // path; "" for a running broker
	settings map[string]string
	// listeners are those for clients and other brokers; controllers' are among them in a file.
	listeners []listener
	dirs      []directory
	// secrets are files that hold passwords or keys.
	secrets []secret
	// openFiles is how many files a process may open; 0: not known.
	openFiles   uint64
	clockUnkept bool
	// guess is the release that a broker's requests look like, "4.3"; "" if it cannot be told.
	guess        string
	metadataFrom int16 // finalized metadata.version; 0: not known
	loadError    string
}

// listener is one address of a node.
type listener struct {
	name, protocol string
	bind           string // host that it listens on; "" is every address
	host           string // advertised; "" if it is not
	port           int    // advertised, or else bound
	mustReach      bool   // clients are sent here by the cluster that was asked
	// reached: the advertised address was dialled and answered; failed is why not.
	reached bool
	failed  string
	// tls is what its TLS side shows; nil if it has none, or it was not seen.
	tls *tlsFacts
	// anonymous is how many topics somebody sees who is nobody; -1: none asked or refused.
	anonymous int
}

func (l listener) address() string { return net.JoinHostPort(l.host, strconv.Itoa(l.port)) }
func (l listener) tlsOn() bool     { return strings.HasSuffix(l.protocol, config.SSL) }
func (l listener) saslOn() bool    { return strings.HasPrefix(l.protocol, "SASL") }

// open tells whether other machines can come to a listener, as far as its address says.
func (l listener) open() bool {
	bound := l.bind
	if bound == "" {
		return true
	}
	return !loopback(bound)
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// tlsFacts is what a server shows, or its store.
type tlsFacts struct {
	leaf  *x509.Certificate
	chain []*x509.Certificate // above the leaf
	// failed is why the store or the handshake gives nothing.
	failed string
	// weak are protocols and cipher suites that were accepted, or are in the settings, and should not be.
	weak []string
}

// directory is a log directory.
type directory struct {
	path        string
	total, free int64 // bytes; total 0: not known
	volatile    string
	mode        uint32 // permission bits; 0: not known
}

// secret is a file with passwords or keys in it.
type secret struct {
	path, what string
	mode       uint32
}

// cluster is what the cluster as a whole answers.
type cluster struct {
	bootstrap string
	brokers   int
	topics    []topic
	// rules are access control entries; noAuthorizer tells that the cluster has none at all.
	rules        []rule
	noAuthorizer bool
	// clock is how far the controller's clock is before this one's, with what it may be wrong by.
	clock, clockError time.Duration
	clockKnown        bool
	// taken are the accounts that one gets in with by a known password.
	taken []string
}

type topic struct {
	name       string
	replicas   int // of its first partition
	minISR     int // 0: not known
	unclean    bool
	offline    []int32
	under      []int32
	partitions int
}

type rule struct {
	principal, resource, name, pattern, operation, host string
	allow                                               bool
}

// get is a setting, or Kafka's default of it.
func (n *node) get(key string) string {
	if v, ok := n.settings[key]; ok {
		return strings.TrimSpace(v)
	}
	if d := config.LookupBroker(key); d != nil && !d.Null && !d.Required {
		return d.Default
	}
	return ""
}

// given tells whether a setting has a value of its own.
func (n *node) given(key string) bool { return strings.TrimSpace(n.settings[key]) != "" }

// at is a setting of a listener.
func (n *node) at(l listener, key string) string {
	own := "listener.name." + strings.ToLower(l.name) + "." + key
	if v, ok := n.settings[own]; ok {
		return strings.TrimSpace(v)
	}
	return n.get(key)
}

func (n *node) int(key string) int {
	i, _ := strconv.Atoi(n.get(key))
	return i
}

func (n *node) list(key string) []string { return split(n.get(key), ",") }

func split(s, sep string) (out []string) {
	for e := range strings.SplitSeq(s, sep) {
		if e = strings.TrimSpace(e); e != "" {
			out = append(out, e)
		}
	}
	return out
}

// exposed tells whether any listener for clients takes connections of other machines.
func (n *node) exposed() bool {
	for _, l := range n.listeners {
		if l.open() {
			return true
		}
	}
	return false
}

// parseListeners reads a node's listeners as settings say, without judging them: a file that does not load has some too.
func parseListeners(settings map[string]string) []listener {
	n := &node{settings: settings}
	protocols := map[string]string{}
	for _, e := range n.list("listener.security.protocol.map") {
		name, protocol, _ := strings.Cut(e, ":")
		protocols[strings.ToUpper(strings.TrimSpace(name))] = strings.ToUpper(strings.TrimSpace(protocol))
	}
	parse := func(key string) (out []listener) {
		for _, e := range n.list(key) {
			name, address, ok := strings.Cut(e, "://")
			host, port, err := net.SplitHostPort(address)
			if !ok || err != nil {
				continue
			}
			l := listener{name: strings.ToUpper(name), bind: host, anonymous: -1}
			l.port, _ = strconv.Atoi(port)
			if l.protocol = protocols[l.name]; l.protocol == "" {
				l.protocol = l.name
			}
			out = append(out, l)
		}
		return out
	}
	out := parse("listeners")
	advertised := parse("advertised.listeners")
	for i := range out {
		if ip := net.ParseIP(out[i].bind); ip != nil && ip.IsUnspecified() {
			out[i].bind = ""
		}
		for _, a := range advertised {
			if a.name == out[i].name {
				out[i].host, out[i].port = a.bind, a.port
			}
		}
		if len(advertised) == 0 {
			out[i].host = out[i].bind
		}
	}
	return out
}
