package config

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Node is what a process is and where it is reached, derived from the static settings.
type Node struct {
	ID                 int32
	Broker, Controller bool // roles
	// Legacy tells that the file has no process.roles, as files from the time of ZooKeeper: the process is one
	// combined node on its own.
	Legacy bool
	// Alone tells that the node is the only member its settings know of, so that it may format its own empty
	// directories. A node of several must be formatted by hand.
	Alone bool
	Rack  string

	LogDirs     []string
	MetadataDir string // where __cluster_metadata-0 lies; always set

	// Listeners are what to listen on: broker listeners first, then controller listeners.
	Listeners []Listener
	// Advertised are the broker listeners as clients are told. A host or port that the settings leave open is
	// filled in (host) or 0 until the socket is bound (port).
	Advertised []Listener
	// AdvertisedController are the controller listeners as other nodes are told.
	AdvertisedController []Listener
	// ControllerListenerNames is controller.listener.names (the first one is what brokers dial).
	ControllerListenerNames []string
	controllerProtocol      string // of the first of them
	// InterBroker is the name of the listener on which brokers talk to each other.
	InterBroker string

	Voters           []Voter // controller.quorum.voters
	BootstrapServers []string
}

// ListenerNamed returns the bound listener of that name.
func (n *Node) ListenerNamed(name string) (Listener, bool) {
	i := slices.IndexFunc(n.Listeners, func(l Listener) bool { return l.Name == name })
	if i < 0 {
		return Listener{}, false
	}
	return n.Listeners[i], true
}

// node derives the Node. It reports the first thing that is wrong.
func (s *Set) deriveNode() (Node, error) {
	n := Node{Rack: s.String("broker.rack"), LogDirs: s.values["log.dir"].List}
	if !s.IsNull("log.dirs") {
		n.LogDirs = s.values["log.dirs"].List
	}
	n.MetadataDir = n.LogDirs[0]
	if dir := s.String("metadata.log.dir"); dir != "" {
		n.MetadataDir = dir
	}
	n.BootstrapServers = s.List("controller.quorum.bootstrap.servers")
	var err error
	if n.Voters, err = parseVoters(s.List("controller.quorum.voters")); err != nil {
		return n, err
	}
	for _, step := range []func(*Node) error{s.deriveIdentity, s.deriveListeners, s.checkQuorum, s.checkAdvertised} {
		if err := step(&n); err != nil {
			return n, err
		}
	}
	n.Alone = n.alone()
	return n, nil
}

// Dialed are the listeners on which this node reaches others, as those have them: that of controllers, unless this is
// the only one, and, for a broker, that between brokers.
func (n *Node) Dialed() []Listener {
	var out []Listener
	if !n.Alone && !n.Legacy {
		out = append(out, Listener{Name: n.ControllerListenerNames[0], Protocol: n.controllerProtocol, Controller: true})
	}
	if l, ok := n.ListenerNamed(n.InterBroker); n.Broker && ok {
		out = append(out, l)
	}
	return out
}

func (s *Set) deriveIdentity(n *Node) error {
	roles := s.List("process.roles")
	if len(roles) == 0 {
		n.Legacy, n.Broker, n.Controller = true, true, true
	}
	for _, r := range roles {
		n.Broker = n.Broker || r == "broker"
		n.Controller = n.Controller || r == "controller"
	}
	nodeID, hasNode := s.static["node.id"]
	brokerID, hasBroker := s.static["broker.id"]
	switch {
	case hasNode && hasBroker && strings.TrimSpace(nodeID) != strings.TrimSpace(brokerID):
		return &Error{Key: "node.id", Value: nodeID, Reason: "it must equal broker.id, which is " + brokerID + ", where both are given"}
	case hasNode:
		n.ID = int32(s.Int("node.id"))
	case hasBroker && s.Int("broker.id") >= 0:
		n.ID = int32(s.Int("broker.id"))
	case hasBroker && !n.Legacy:
		return &Error{Key: "broker.id", Value: brokerID, Reason: "Value must be at least 0"}
	case !n.Legacy:
		return &Error{Key: "node.id", Full: `Missing required configuration "node.id" which has no default value.`}
	}
	return nil
}

func (s *Set) deriveListeners(n *Node) error {
	names := make([]string, 0, 1)
	for _, name := range s.List("controller.listener.names") {
		names = append(names, strings.ToUpper(name))
	}
	if n.Legacy && len(names) > 0 {
		return &Error{Key: "controller.listener.names", Value: strings.Join(names, ","), Reason: "process.roles must be set where controller listeners are named"}
	}
	if !n.Legacy && len(names) == 0 {
		return &Error{Key: "controller.listener.names", Full: `Missing required configuration "controller.listener.names" which has no default value.`}
	}
	n.ControllerListenerNames = names
	protocols, err := s.protocolMap(names)
	if err != nil {
		return err
	}
	all, err := parseListeners("listeners", s.listenerEntries(), protocols, true)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		if n.controllerProtocol = protocols[names[0]]; n.controllerProtocol == "" {
			return &Error{Key: "controller.listener.names", Value: names[0], Reason: "listener.security.protocol.map has no such listener (it maps " + joinKeys(protocols) + ")"}
		}
	}
	for i := range all {
		all[i].Controller = slices.Contains(names, all[i].Name)
	}
	slices.SortStableFunc(all, func(a, b Listener) int { return boolOrder(a.Controller) - boolOrder(b.Controller) })
	n.Listeners = all
	if n.Legacy {
		n.addControllerListener()
	}
	if err := s.checkEarlyStart(n); err != nil {
		return err
	}
	if err := s.deriveAdvertised(n, protocols); err != nil {
		return err
	}
	return s.deriveInterBroker(n, protocols)
}

// checkEarlyStart holds Kafka's rule that only listeners that there are may be opened early.
func (s *Set) checkEarlyStart(n *Node) error {
	const key = "early.start.listeners"
	for _, name := range s.List(key) {
		name = strings.ToUpper(name)
		if _, ok := n.ListenerNamed(name); !ok && !slices.Contains(n.ControllerListenerNames, name) {
			return &Error{Key: key, Full: key + " contains listener " + name + ", but this is not contained in listeners or controller.listener.names"}
		}
	}
	return nil
}

func boolOrder(b bool) int {
	if b {
		return 1
	}
	return 0
}

// listenerEntries returns listeners, or what the host.name and port of old files come to.
func (s *Set) listenerEntries() []string {
	if _, given := s.static["listeners"]; given {
		return s.List("listeners")
	}
	host, okHost := s.extra["host.name"]
	port, okPort := s.extra["port"]
	if s.isLegacyFile() && (okHost || okPort) {
		if !okPort {
			port = "9092"
		}
		return []string{"PLAINTEXT://" + net.JoinHostPort(strings.TrimSpace(host), strings.TrimSpace(port))}
	}
	return s.List("listeners")
}

func (s *Set) isLegacyFile() bool { return len(s.List("process.roles")) == 0 }

// addControllerListener gives a combined node that names no controller listener one on loopback with a free
// port, so that tools and metadata see the same shape everywhere.
func (n *Node) addControllerListener() {
	name := "CONTROLLER"
	for i := 2; ; i++ {
		if _, taken := n.ListenerNamed(name); !taken {
			break
		}
		name = "CONTROLLER" + strconv.Itoa(i)
	}
	n.ControllerListenerNames = []string{name}
	n.Listeners = append(n.Listeners, Listener{Name: name, Host: "127.0.0.1", Protocol: Plaintext, Controller: true, MadeUp: true})
}

// protocolMap returns the map of listener names to security protocols. As in Kafka controller listeners are
// plain text unless the map is given or something is SSL or SASL.
func (s *Set) protocolMap(controllerNames []string) (map[string]string, error) {
	m, err := parseProtocolMap(s.String("listener.security.protocol.map"))
	if err != nil || s.IsSet("listener.security.protocol.map") {
		return m, err
	}
	secured := func(name string) bool {
		name = strings.ToUpper(name)
		return name == SSL || name == SASLSSL || name == SASLPlaintext
	}
	for _, e := range s.List("listeners") {
		name, _, _ := strings.Cut(e, "://")
		if secured(name) {
			return m, nil
		}
	}
	if slices.ContainsFunc(controllerNames, secured) {
		return m, nil
	}
	for _, name := range controllerNames {
		m[name] = Plaintext
	}
	return m, nil
}

func (s *Set) deriveAdvertised(n *Node, protocols map[string]string) error {
	const key = "advertised.listeners"
	told := slices.Clone(n.Listeners)
	if !s.IsNull(key) {
		var err error
		if told, err = parseListeners(key, s.List(key), protocols, false); err != nil {
			return err
		}
	} else if n.Legacy {
		if err := s.oldAdvertised(&told[0]); err != nil {
			return err
		}
	}
	for _, l := range told {
		if l.Host == "0.0.0.0" || l.Host == "::" {
			if s.IsNull(key) {
				l.Host = ""
			} else {
				return &Error{Key: key, Value: strings.Join(s.List(key), ","), Reason: "it cannot use the nonroutable meta-address " + l.Host + ". Use a routable IP address."}
			}
		}
		if l.Host == "" {
			l.Host = HostName()
		}
		if slices.Contains(n.ControllerListenerNames, l.Name) {
			l.Controller = true
			n.AdvertisedController = append(n.AdvertisedController, l)
		} else {
			n.Advertised = append(n.Advertised, l)
		}
	}
	for _, l := range n.Listeners {
		if l.Controller && !slices.ContainsFunc(n.AdvertisedController, func(a Listener) bool { return a.Name == l.Name }) {
			if l.Host == "" || l.Host == "0.0.0.0" || l.Host == "::" {
				l.Host = HostName()
			}
			n.AdvertisedController = append(n.AdvertisedController, l)
		}
	}
	return nil
}

// oldAdvertised reads the settings that came before advertised.listeners.
func (s *Set) oldAdvertised(l *Listener) error {
	if host, ok := s.extra["advertised.host.name"]; ok {
		l.Host = strings.TrimSpace(host)
	}
	if port, ok := s.extra["advertised.port"]; ok {
		n, err := strconv.Atoi(strings.TrimSpace(port))
		if err != nil || n < 0 || n > 65535 {
			return &Error{Key: "advertised.port", Value: port, Reason: "the port must be a number from 0 to 65535"}
		}
		l.Port = n
	}
	return nil
}

func (s *Set) deriveInterBroker(n *Node, protocols map[string]string) error {
	const byName, byProtocol = "inter.broker.listener.name", "security.inter.broker.protocol"
	name := strings.ToUpper(s.String(byName))
	switch {
	case name != "" && s.IsSet(byProtocol):
		return &Error{Key: byName, Value: name, Reason: "only one of inter.broker.listener.name and security.inter.broker.protocol may be set"}
	case name != "":
		if _, ok := protocols[name]; !ok {
			return &Error{Key: byName, Value: name, Reason: "listener.security.protocol.map has no such listener (it maps " + joinKeys(protocols) + ")"}
		}
	default:
		name = s.String(byProtocol)
	}
	n.InterBroker = name
	return nil
}

// HostName returns the name that this machine is told by when no setting says otherwise: its host name if that
// resolves, else its first address that is not loopback, else localhost.
func HostName() string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if name, err := os.Hostname(); err == nil {
		if _, err := net.DefaultResolver.LookupHost(ctx, name); err == nil {
			return name
		}
	}
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLoopback() && !ip.IP.IsLinkLocalUnicast() && ip.IP.To4() != nil {
			return ip.IP.String()
		}
	}
	return "localhost"
}

func joinListenerNames(ls []Listener) string {
	names := make([]string, len(ls))
	for i, l := range ls {
		names[i] = l.Name
	}
	return strings.Join(names, ",")
}

func joinKeys(m map[string]string) string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return strings.Join(keys, ", ")
}

// alone tells whether no setting names another member.
func (n *Node) alone() bool {
	if !n.Broker || !n.Controller {
		return false
	}
	for _, v := range n.Voters {
		if v.ID != n.ID {
			return false
		}
	}
	if len(n.Voters) > 0 {
		return true
	}
	for _, b := range n.BootstrapServers {
		_, port, _ := splitHostPort(b)
		own := func(l Listener) bool { return l.Controller && l.Port == port }
		if !slices.ContainsFunc(n.Listeners, own) && !slices.ContainsFunc(n.AdvertisedController, own) {
			return false
		}
	}
	return len(n.BootstrapServers) <= 1
}

const controllerMechanism = "sasl.mechanism.controller.protocol"

func (s *Set) checkQuorum(n *Node) error {
	if n.Legacy {
		return nil
	}
	if len(n.Voters) == 0 && len(n.BootstrapServers) == 0 {
		return &Error{Key: "controller.quorum.bootstrap.servers", Full: "If using process.roles, either controller.quorum.bootstrap.servers must contain " +
			"the set of bootstrap controllers or controller.quorum.voters must contain a parseable set of controllers."}
	}
	voter := slices.ContainsFunc(n.Voters, func(v Voter) bool { return v.ID == n.ID })
	bound := 0
	for _, l := range n.Listeners {
		bound += boolOrder(l.Controller)
	}
	names, written := strings.Join(n.ControllerListenerNames, ","), strings.Join(s.List("controller.quorum.voters"), ",")
	switch {
	case n.Controller && len(n.Voters) > 0 && !voter:
		return &Error{Key: "controller.quorum.voters", Value: written, Reason: fmt.Sprintf("with the 'controller' role in process.roles it must include node.id %d", n.ID)}
	case !n.Controller && voter:
		return &Error{Key: "controller.quorum.voters", Value: written, Reason: fmt.Sprintf("with only the 'broker' role in process.roles it must not include node.id %d", n.ID)}
	case n.Controller && bound < len(n.ControllerListenerNames):
		return &Error{Key: "controller.listener.names", Value: names, Reason: "with the 'controller' role each of them must appear in listeners, which has " + joinListenerNames(n.Listeners)}
	case !n.Controller && bound > 0:
		return &Error{Key: "controller.listener.names", Value: names, Reason: "with only the 'broker' role none of them may appear in listeners, which has " + joinListenerNames(n.Listeners)}
	case len(n.Voters) > 1 && strings.HasPrefix(n.controllerProtocol, "SASL_") && strings.HasPrefix(s.String(controllerMechanism), "SCRAM-"):
		return &Error{Key: controllerMechanism, Value: s.String(controllerMechanism), Reason: "several controllers cannot sign in to each other with SCRAM: its users are in the " +
			"metadata, which there is not before the controllers have agreed on a leader. Use PLAIN, or certificates (SSL with ssl.client.auth=required)"}
	case !n.Broker && bound < len(n.Listeners):
		return &Error{Key: "listeners", Value: joinListenerNames(n.Listeners), Reason: "with only the 'controller' role it may have no listener but those of controller.listener.names (" + names + ")"}
	}
	return nil
}

func (s *Set) checkAdvertised(n *Node) error {
	if !n.Broker {
		return nil
	}
	if len(n.Advertised) == 0 {
		return &Error{Key: "advertised.listeners", Value: strings.Join(s.List("listeners"), ","), Reason: "there must be at least one listener for clients; do all of them stand in controller.listener.names?"}
	}
	for _, a := range n.Advertised {
		if _, ok := n.ListenerNamed(a.Name); !ok {
			return &Error{Key: "advertised.listeners", Value: a.String(), Reason: "its listener names must be among those of listeners, which has " + joinListenerNames(n.Listeners)}
		}
	}
	if !slices.ContainsFunc(n.Advertised, func(a Listener) bool { return a.Name == n.InterBroker }) {
		return &Error{Key: "inter.broker.listener.name", Value: n.InterBroker, Reason: "it must be a listener of advertised.listeners, which has " + joinListenerNames(n.Advertised)}
	}
	return nil
}
