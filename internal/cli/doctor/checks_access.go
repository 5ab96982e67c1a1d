package doctor

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/config"
)

const authorizerClass = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"

func checkSettings(f *facts) []Finding {
	return each(f, func(n *node) []Finding {
		if n.loadError == "" {
			return nil
		}
		return []Finding{{Severity: Warning, Evidence: "Weir does not start with it: " + n.loadError, Fix: "mend or remove the setting; Apache Kafka may take it"}}
	})
}

func checkPlaintext(f *facts) []Finding {
	return each(f, func(n *node) (out []Finding) {
		for _, l := range n.listeners {
			if l.tlsOn() || !l.open() || l.failed != "" && n.file == "" {
				continue
			}
			what := "whoever is on the way reads and changes records"
			severity, to := Error, "SSL"
			if l.saslOn() {
				if to = "SASL_SSL"; slices.ContainsFunc(split(n.at(l, "sasl.enabled.mechanisms"), ","), func(m string) bool { return m == "PLAIN" || m == "OAUTHBEARER" }) {
					what += ", and passwords or tokens, which go over the wire as they are"
				}
			}
			out = append(out, Finding{Severity: severity, Evidence: fmt.Sprintf("listener %s takes connections of other machines without encryption (%s, port %d): %s", l.name, l.protocol, l.port, what),
				Fix: n.line("listener.security.protocol.map=…,"+l.name+":"+to) + "\n(weir security init DIR makes certificates and all settings; on one machine only: listeners=" + l.name + "://127.0.0.1:" + fmt.Sprint(l.port) + ")"})
		}
		return out
	})
}

func checkAnonymous(f *facts) []Finding {
	return each(f, func(n *node) (out []Finding) {
		for _, l := range n.listeners {
			if l.anonymous >= 0 {
				out = append(out, Finding{Severity: Error, Evidence: fmt.Sprintf("%s answers to somebody without a name: %d topics can be seen", l.address(), l.anonymous),
					Fix: n.line("authorizer.class.name=" + authorizerClass)})
			}
		}
		return out
	})
}

func checkAuthorizer(f *facts) []Finding {
	if f.cluster != nil {
		if !f.cluster.noAuthorizer {
			return nil
		}
		return []Finding{{Severity: Error, Where: "cluster", Evidence: "rules are refused with SECURITY_DISABLED: there is no authorizer, everybody who connects may do everything",
			Fix: "authorizer.class.name=" + authorizerClass + "\nsuper.users=User:admin   # both on every node, then restart"}}
	}
	return each(f, func(n *node) []Finding {
		if n.given("authorizer.class.name") {
			return nil
		}
		severity := Warning
		if n.exposed() {
			severity = Error
		}
		return []Finding{{Severity: severity, Evidence: "authorizer.class.name is not set: everybody who connects may do everything",
			Fix: "authorizer.class.name=" + authorizerClass + "\nsuper.users=User:admin"}}
	})
}

func checkOpenByDefault(f *facts) []Finding {
	return each(f, func(n *node) []Finding {
		if !strings.EqualFold(n.settings["allow.everyone.if.no.acl.found"], "true") || f.cluster == nil && !n.given("authorizer.class.name") {
			return nil
		}
		return []Finding{{Severity: Error, Evidence: "allow.everyone.if.no.acl.found=true: what no rule is about is open to everybody",
			Fix: n.line("allow.everyone.if.no.acl.found=false")}}
	})
}

func checkSuperUsers(f *facts) []Finding {
	return each(f, func(n *node) (out []Finding) {
		for _, u := range split(n.settings["super.users"], ";") {
			if u == "User:ANONYMOUS" {
				out = append(out, Finding{Severity: Error, Evidence: "super.users holds User:ANONYMOUS: whoever comes without a name may do everything",
					Fix: n.line("super.users=" + strings.Join(slices.DeleteFunc(split(n.settings["super.users"], ";"), func(s string) bool { return s == u }), ";"))})
			}
		}
		return out
	})
}

func checkRules(f *facts) (out []Finding) {
	if f.cluster == nil {
		return nil
	}
	for _, r := range f.cluster.rules {
		everybody := r.principal == "User:*" || r.principal == "User:ANONYMOUS"
		harmless := r.operation == "DESCRIBE" || r.operation == "DESCRIBE_CONFIGS" || r.operation == "IDEMPOTENT_WRITE"
		if !r.allow || !everybody || harmless {
			continue
		}
		severity := Warning
		if r.name == "*" || r.pattern == "PREFIXED" && r.name == "" || r.resource == "CLUSTER" || r.operation == "ALL" {
			severity = Error
		}
		flag := "--topic " + shell(r.name)
		switch r.resource {
		case "GROUP":
			flag = "--group " + shell(r.name)
		case "TRANSACTIONAL_ID":
			flag = "--transactional-id " + shell(r.name)
		case "CLUSTER":
			flag = "--cluster"
		}
		out = append(out, Finding{Severity: severity, Where: "rules", Evidence: fmt.Sprintf("%s may %s on %s %s (%s) from %s", r.principal, r.operation, strings.ToLower(r.resource), r.name, strings.ToLower(r.pattern), r.host),
			Fix: fmt.Sprintf("kafka-acls --bootstrap-server %s --remove --allow-principal %s --operation %s %s --resource-pattern-type %s", f.cluster.bootstrap, shell(r.principal), r.operation, flag, strings.ToLower(r.pattern))})
	}
	return out
}

func shell(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// known are passwords that stand in tutorials and images, so that they are tried first.
var known = []string{"admin", "admin-secret", "alice-secret", "broker-secret", "client-secret", "kafka-secret", "bitnami", "changeit", "changeme", "confluent",
	"kafka", "password", "secret", "test", "test1234", "123456", "12345678", "qwerty", "user", "root", "weir"}

// Accounts that a try of known passwords tries.
var accounts = [][2]string{{"admin", "admin"}, {"admin", "admin-secret"}, {"admin", "password"}, {"alice", "alice-secret"}, {"kafka", "kafka"}, {"user", "bitnami"}, {"client", "client-secret"}, {"broker", "broker-secret"}}

func weakPassword(user, password string) bool {
	p := strings.ToLower(password)
	return p != "" && (slices.Contains(known, p) || p == strings.ToLower(user) || p == strings.ToLower(user)+"-secret" || len(p) < 8)
}

func checkPasswords(f *facts) []Finding {
	out := each(f, func(n *node) (out []Finding) {
		for _, key := range sortedKeys(n.settings) {
			value := n.settings[key]
			if d := baseDef(key); strings.HasSuffix(key, "sasl.jaas.config") {
				for _, user := range weakUsers(value) {
					out = append(out, Finding{Severity: Error, Evidence: key + ": the password of " + user + " is one that is tried first, or short",
						Fix: "a random one: " + "weir kafka-storage random-uuid"})
				}
			} else if d != nil && d.Sensitive() && strings.HasSuffix(key, "password") && weakPassword("", value) {
				out = append(out, Finding{Severity: Warning, Evidence: key + " is a password that is tried first, or short", Fix: "a random one, or PEM files without a password and of mode 0600"})
			}
		}
		return out
	})
	if f.cluster != nil {
		for _, t := range f.cluster.taken {
			out = append(out, Finding{Severity: Error, Where: "cluster", Evidence: "one gets in as " + t + " with a password that is tried first",
				Fix: fmt.Sprintf("kafka-configs --bootstrap-server %s --alter --entity-type users --entity-name %s --add-config 'SCRAM-SHA-512=[password=…]'   # PLAIN: in sasl.jaas.config", f.cluster.bootstrap, t)})
		}
	}
	return out
}

// weakUsers are the users of a JAAS line with a weak password. A line that cannot be read has none.
func weakUsers(line string) (out []string) {
	jaas, err := client.ParseJAAS(line)
	if err != nil {
		return nil
	}
	for _, key := range sortedKeys(jaas.Options) {
		if user, ok := strings.CutPrefix(key, "user_"); ok && weakPassword(user, jaas.Options[key]) {
			out = append(out, user)
		}
	}
	if weakPassword(jaas.Options["username"], jaas.Options["password"]) && !slices.Contains(out, jaas.Options["username"]) {
		out = append(out, jaas.Options["username"])
	}
	return out
}

// baseDef is the declaration of a setting, also of one listener's.
func baseDef(key string) *config.Def {
	if d := config.LookupBroker(key); d != nil {
		return d
	}
	if rest, ok := strings.CutPrefix(key, "listener.name."); ok {
		for {
			_, after, more := strings.Cut(rest, ".")
			if !more {
				return nil
			}
			if d := config.LookupBroker(after); d != nil {
				return d
			}
			rest = after
		}
	}
	return nil
}

func checkSecrets(f *facts) []Finding {
	return each(f, func(n *node) (out []Finding) {
		for _, s := range n.secrets {
			switch {
			case s.mode&0o007 != 0:
				out = append(out, Finding{Severity: Error, Where: s.path, Evidence: fmt.Sprintf("%s, and every user of this machine can read or change it (mode %04o)", s.what, s.mode), Fix: "chmod 600 " + s.path})
			case s.mode&0o070 != 0:
				out = append(out, Finding{Severity: Warning, Where: s.path, Evidence: fmt.Sprintf("%s, and the file's group can read or change it (mode %04o)", s.what, s.mode), Fix: "chmod 600 " + s.path})
			}
		}
		for _, d := range n.dirs {
			if d.mode&0o007 != 0 {
				out = append(out, Finding{Severity: Warning, Where: d.path, Evidence: fmt.Sprintf("records lie here, and every user of this machine can look in (mode %04o)", d.mode), Fix: "chmod 700 " + filepath.Clean(d.path)})
			}
		}
		return out
	})
}

// checkNameless finds TLS listeners that ask nobody who he is although there are rules.
func checkNameless(f *facts) []Finding {
	return each(f, func(n *node) (out []Finding) {
		for _, l := range n.listeners {
			if n.file == "" || l.protocol != config.SSL || !n.given("authorizer.class.name") || n.at(l, "ssl.client.auth") == "required" {
				continue
			}
			out = append(out, Finding{Severity: Warning, Evidence: "listener " + l.name + " has TLS, but asks for no certificate: who comes there is User:ANONYMOUS to all rules",
				Fix: "listener.name." + strings.ToLower(l.name) + ".ssl.client.auth=required"})
		}
		return out
	})
}
