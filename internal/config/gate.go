package config

import "strings"

// gateRow is a setting without which the broker would be more open than its file asks for. As long as Weir does
// not do what the setting says, a value other than the default stops the start: such a key is never accepted
// without effect. A row goes when the feature comes.
type gateRow struct {
	key    string // a name, or a prefix if it ends in "."
	lacks  string // what Weir does not have yet
	harmed string // what would be open
}

// securityGate is the one place that says which settings stop the start.
var securityGate = []gateRow{
	{"ssl.", "TLS", "connections would be readable"},
	{"sasl.", "SASL authentication", "everybody could connect"},
	{"security.inter.broker.protocol", "TLS and SASL", "connections between brokers would be readable and open"},
	{"security.providers", "security providers", "the algorithms asked for would not be used"},
	{"principal.builder.class", "Java classes", "principals would have other names than the rules expect"},
	{"connections.max.reauth.ms", "SASL authentication", "sessions would never end"},
	{"delegation.token.secret.key", "delegation tokens", "clients could not authenticate by token"},
	{"client.quota.callback.class", "Java classes", "clients would have no quota"},
	{"quota.producer.default", "client quotas", "clients would have no quota"},
	{"quota.consumer.default", "client quotas", "clients would have no quota"},
	{"create.topic.policy.class.name", "Java classes", "topics that the policy forbids could be created"},
	{"alter.config.policy.class.name", "Java classes", "settings that the policy forbids could be made"},
}

// gated returns the row that stops name, nil if it may pass.
func gated(name string) *gateRow {
	base, _ := baseName(name)
	for i := range securityGate {
		r := &securityGate[i]
		if base == r.key || strings.HasSuffix(r.key, ".") && strings.HasPrefix(base, r.key) {
			return r
		}
	}
	return nil
}

// gateCheck refuses a setting that the gate stops, unless it only repeats the default.
func gateCheck(name, raw string) error {
	r := gated(name)
	if r == nil {
		return nil
	}
	value := strings.TrimSpace(raw)
	if value == "" {
		return nil
	}
	base, _ := baseName(name)
	d := LookupBroker(base)
	if d != nil && !d.Null && !d.Required {
		if v, err := d.Parse(raw); err == nil && d.Text(v) == d.Text(d.defaultValue()) {
			return nil
		}
	}
	if d == nil || d.Sensitive() {
		value = "[hidden]"
	}
	return &Error{Key: name, Value: value, Reason: "this version of Weir has no " + r.lacks + " and does not start without it, because " +
		r.harmed + ". Remove the setting to start without"}
}

// gateListener refuses a listener whose protocol the gate stops.
func gateListener(l Listener) error {
	if l.Protocol == Plaintext {
		return nil
	}
	return &Error{Key: "listener.security.protocol.map", Value: l.Name + ":" + l.Protocol,
		Reason: "this version of Weir has listeners of protocol PLAINTEXT only, and does not open " + l.Name + " (" + l.Address() + ") unprotected"}
}
