package config

import (
	"slices"
	"strings"
)

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
	{"ssl.engine.factory.class", "Java classes", "TLS would have other keys than those that the class gives"},
	{"ssl.provider", "security providers", "the algorithms asked for would not be used"},
	{"security.providers", "security providers", "the algorithms asked for would not be used"},
	{"sasl.kerberos.", "Kerberos (GSSAPI)", "its users could not be told apart"},
	{"sasl.login.class", "Java classes", "the login would be another one"},
	{"sasl.client.callback.handler.class", "Java classes", "the login would be another one"},
	{"sasl.oauthbearer.jwt.validator.class", "Java classes", "tokens would be judged by other rules"},
	{"principal.builder.class", "Java classes", "principals would have other names than the rules expect"},
	{"client.quota.callback.class", "Java classes", "clients would have no quota"},
	{"quota.producer.default", "default quotas in its settings, as Kafka since 3.0 (kafka-configs --entity-type clients --entity-default sets them)", "clients would have no quota"},
	{"quota.consumer.default", "default quotas in its settings, as Kafka since 3.0 (kafka-configs --entity-type clients --entity-default sets them)", "clients would have no quota"},
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

// choice is a setting of which Weir has some values only; any other stops the start.
type choice struct {
	allowed []string
	reason  string
}

const oauthHandlers = "org.apache.kafka.common.security.oauthbearer."

var mechanismChoice = choice{[]string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"}, "Weir has the SASL mechanisms PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER"}

var securityChoices = map[string]choice{
	"sasl.enabled.mechanisms": mechanismChoice,
	"sasl.server.callback.handler.class": {[]string{oauthHandlers + "OAuthBearerValidatorCallbackHandler", oauthHandlers + "secured.OAuthBearerValidatorCallbackHandler"},
		"Weir runs no Java classes; the only one that it does the work of is " + oauthHandlers + "OAuthBearerValidatorCallbackHandler"},
	"sasl.login.callback.handler.class": {[]string{oauthHandlers + "OAuthBearerLoginCallbackHandler", oauthHandlers + "secured.OAuthBearerLoginCallbackHandler"},
		"Weir runs no Java classes; the only one that it does the work of is " + oauthHandlers + "OAuthBearerLoginCallbackHandler"},
	"sasl.oauthbearer.jwt.retriever.class": {[]string{oauthHandlers + "DefaultJwtRetriever", oauthHandlers + "FileJwtRetriever", oauthHandlers + "ClientCredentialsJwtRetriever"},
		"Weir runs no Java classes; those that it does the work of are DefaultJwtRetriever, FileJwtRetriever and ClientCredentialsJwtRetriever of org.apache.kafka.common.security.oauthbearer"},
	"ssl.enabled.protocols": {[]string{"TLSv1.2", "TLSv1.3"}, "Weir speaks TLSv1.2 and TLSv1.3"},
	"ssl.protocol":          {[]string{"TLS", "TLSv1.2", "TLSv1.3"}, "Weir speaks TLSv1.2 and TLSv1.3"},
	"ssl.keystore.type":     storeTypes, "ssl.truststore.type": storeTypes,
	"ssl.endpoint.identification.algorithm": {[]string{"https", ""}, "it is https or empty"},
}

var storeTypes = choice{[]string{"JKS", "PKCS12", "PEM"}, "Weir reads key and trust stores of type JKS, PKCS12 and PEM"}

// checkChoice refuses a value that is not among those that Weir has, in the value itself or, if it is a list, in one
// of its elements. What only repeats the default says nothing: whether it can be used is known where it is used.
func checkChoice(name, raw string) error {
	base, _ := baseName(name)
	c, ok := securityChoices[base]
	d := LookupBroker(base)
	if !ok || d == nil {
		return nil
	}
	v, err := d.Parse(raw)
	if err != nil || v.Null || d.Text(v) == d.Text(d.defaultValue()) && !d.Null {
		return nil // the parser has its own sentence
	}
	words := v.List
	if d.Type != List {
		words = []string{v.Str}
	}
	for _, w := range words {
		if !slices.ContainsFunc(c.allowed, func(a string) bool { return strings.EqualFold(a, w) }) {
			return &Error{Key: name, Value: w, Reason: c.reason}
		}
	}
	return nil
}

// gateCheck refuses a setting that the gate stops, unless it only repeats the default.
func gateCheck(name, raw string) error {
	if err := checkChoice(name, raw); err != nil {
		return err
	}
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
