package engine

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/weir-stream/weir/internal/controlplane/certs"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// Names of the listeners.
const (
	clients     = "CLIENTS"
	brokers     = "BROKERS"
	controllers = "CONTROLLERS"
)

// Mechanism is how clients and brokers of a secured cluster show who they are.
const Mechanism = "SCRAM-SHA-512"

// Secured are the settings of a node of a secured cluster, the same for every
// engine: SCRAM over TLS for clients and between brokers, certificates of both
// sides between controllers, and nothing allowed to anybody but the service's
// own two accounts.
//
// The voters are a static list, so that a voter that lost its disk comes back
// under its id without a change of the quorum.
func Secured(c *spec.Cluster, b spec.Broker, m Materials) map[string]string {
	p := Plain(c, b, m)
	p["listener.security.protocol.map"] = clients + ":SASL_SSL," + brokers + ":SASL_SSL," + controllers + ":SSL"
	maps.Copy(p, security(m))
	return p
}

// Plain are the settings of a node of a cluster in plain text, with the same
// listeners on the loopback address.
func Plain(c *spec.Cluster, b spec.Broker, m Materials) map[string]string {
	p := defaults(c)
	maps.Copy(p, c.Settings)
	maps.Copy(p, listeners(b))
	p["node.id"] = strconv.Itoa(int(b.ID))
	p["controller.quorum.voters"] = voters(c)
	p["log.dirs"] = m.Layout.Data(b.ID)
	if b.Rack != "" {
		p["broker.rack"] = b.Rack
	}
	return p
}

// ScramArguments are the arguments of kafka-storage format that make the
// service's two accounts. They have passwords in them: arguments of a process
// are for all to see, so they go through a file.
func ScramArguments(m Materials) []string {
	var args []string
	for _, u := range [][2]string{{certs.AdminUser, m.Secrets.AdminPassword}, {certs.BrokerUser, m.Secrets.BrokerPassword}} {
		args = append(args, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", Mechanism, u[0], u[1]))
	}
	return args
}

// defaults are what a user may set otherwise.
func defaults(c *spec.Cluster) map[string]string {
	n, inSync := spec.Replication(len(c.Brokers))
	factor, minISR := strconv.Itoa(n), strconv.Itoa(inSync)
	return map[string]string{
		"num.partitions":                                   "3",
		"default.replication.factor":                       factor,
		"min.insync.replicas":                              minISR,
		"offsets.topic.replication.factor":                 factor,
		"transaction.state.log.replication.factor":         factor,
		"transaction.state.log.min.isr":                    minISR,
		"share.coordinator.state.topic.replication.factor": factor,
		"share.coordinator.state.topic.min.isr":            minISR,
		"auto.create.topics.enable":                        "false",
		"group.initial.rebalance.delay.ms":                 "0",
	}
}

func listeners(b spec.Broker) map[string]string {
	roles := "broker"
	listen := []string{clients + "://" + Address(b.ClientPort), brokers + "://" + Address(b.InternalPort)}
	advertised := strings.Join(listen, ",")
	if b.Controller {
		roles = "broker,controller"
		listen = append(listen, controllers+"://"+Address(b.ControllerPort))
		advertised = strings.Join(listen, ",")
	}
	return map[string]string{
		"process.roles":                  roles,
		"listeners":                      strings.Join(listen, ","),
		"advertised.listeners":           advertised,
		"inter.broker.listener.name":     brokers,
		"controller.listener.names":      controllers,
		"listener.security.protocol.map": clients + ":PLAINTEXT," + brokers + ":PLAINTEXT," + controllers + ":PLAINTEXT",
	}
}

func security(m Materials) map[string]string {
	controllersPrefix := "listener.name." + strings.ToLower(controllers) + "."
	return map[string]string{
		"ssl.keystore.type":       "PEM",
		"ssl.keystore.location":   m.Cert.Keystore,
		"ssl.truststore.type":     "PEM",
		"ssl.truststore.location": m.Cert.Truststore,
		"ssl.client.auth":         "none",
		// Only nodes of the cluster hold a certificate of its authority; they
		// all count as the account of the brokers.
		controllersPrefix + "ssl.client.auth":             "required",
		controllersPrefix + "ssl.principal.mapping.rules": "RULE:^CN=broker-[0-9]+$/" + certs.BrokerUser + "/",
		"sasl.enabled.mechanisms":                         Mechanism,
		"sasl.mechanism.inter.broker.protocol":            Mechanism,
		jaasKey(clients):                                  "org.apache.kafka.common.security.scram.ScramLoginModule required;",
		jaasKey(brokers): fmt.Sprintf("org.apache.kafka.common.security.scram.ScramLoginModule required username=%q password=%q;",
			certs.BrokerUser, m.Secrets.BrokerPassword),
		"authorizer.class.name":          "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"allow.everyone.if.no.acl.found": "false",
		"super.users":                    "User:" + certs.AdminUser + ";User:" + certs.BrokerUser,
	}
}

func jaasKey(listener string) string {
	return "listener.name." + strings.ToLower(listener) + "." + strings.ToLower(Mechanism) + ".sasl.jaas.config"
}

func voters(c *spec.Cluster) string {
	var out []string
	for _, b := range c.Brokers {
		if b.Controller {
			out = append(out, fmt.Sprintf("%d@%s", b.ID, Address(b.ControllerPort)))
		}
	}
	return strings.Join(out, ",")
}
