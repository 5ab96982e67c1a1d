//go:build e2e && linux

package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/weir-stream/weir/internal/security/sasl"
	"github.com/weir-stream/weir/internal/testkit/brokers"
	"github.com/weir-stream/weir/internal/testkit/certkit"
)

// securedBy has the settings for each way in which everybody proves who he is to everybody, on all listeners.
var securedBy = map[string]map[string]string{
	// SCRAM for clients and between brokers; controllers, who have to trust each other before there are users, know a password.
	// Sessions end while the test goes on, so that everybody logs in again.
	"scram": {
		"listener.security.protocol.map":                                  "CLIENTS:SASL_SSL,INTERNAL:SASL_SSL,CONTROLLER:SASL_SSL",
		"listener.name.clients.sasl.enabled.mechanisms":                   "SCRAM-SHA-512",
		"listener.name.internal.sasl.enabled.mechanisms":                  "SCRAM-SHA-256",
		"listener.name.controller.sasl.enabled.mechanisms":                "PLAIN",
		"sasl.mechanism.inter.broker.protocol":                            "SCRAM-SHA-256",
		"sasl.mechanism.controller.protocol":                              "PLAIN",
		"listener.name.clients.scram-sha-512.sasl.jaas.config":            sasl.ScramLoginModule + " required;",
		"listener.name.internal.scram-sha-256.sasl.jaas.config":           sasl.ScramLoginModule + ` required username="node" password="` + password("node") + `";`,
		"listener.name.controller.plain.sasl.jaas.config":                 sasl.PlainLoginModule + ` required username="node" password="` + password("node") + `" user_node="` + password("node") + `";`,
		"connections.max.reauth.ms":                                       "15000",
		"listener.name.clients.connection.failed.authentication.delay.ms": "1",
	},
	// Certificates of both sides.
	"mtls": {
		"listener.security.protocol.map": "CLIENTS:SSL,INTERNAL:SSL,CONTROLLER:SSL",
		"ssl.client.auth":                "required",
		"ssl.principal.mapping.rules":    "RULE:^CN=(.*)$/$1/,DEFAULT",
	},
}

// secrets are what the nodes and clients of a secured scene know.
type secrets struct {
	t         *testing.T
	mode      string
	authority *certkit.Authority
	stores    map[int]string // key stores by node
	pairs     map[string]tls.Certificate
	dir       string
}

func password(who string) string { return who + "-pw-5521" }

func newSecrets(t *testing.T, mode string) *secrets {
	t.Helper()
	x := &secrets{t: t, mode: mode, authority: certkit.New(t), stores: map[int]string{}, pairs: map[string]tls.Certificate{}, dir: t.TempDir()}
	for _, who := range []string{"admin", "app", "stranger"} {
		pair := x.authority.Issue(t, who)
		cert, err := tls.X509KeyPair([]byte(pair.Chain), []byte(pair.Key))
		if err != nil {
			t.Fatal(err)
		}
		x.pairs[who] = cert
	}
	return x
}

// configure puts the settings that all nodes have in common.
func (x *secrets) configure(c *brokers.Config) {
	c.Listener, c.Extra = "CLIENTS", map[string]string{"INTERNAL": ""}
	for key, value := range securedBy[x.mode] {
		c.Props[key] = value
	}
	for key, value := range map[string]string{
		"inter.broker.listener.name": "INTERNAL", "ssl.keystore.type": "PEM", "ssl.truststore.type": "PEM",
		"ssl.truststore.location": certkit.File(x.t, x.dir, "ca.pem", x.authority.PEM),
		"authorizer.class.name":   "org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users": "User:node;User:admin",
	} {
		c.Props[key] = value
	}
	c.Format = []string{"--add-scram", fmt.Sprintf("SCRAM-SHA-256=[name=node,password=%s]", password("node"))}
	for who := range x.pairs {
		c.Format = append(c.Format, "--add-scram", fmt.Sprintf("SCRAM-SHA-512=[name=%s,password=%s]", who, password(who)))
	}
	c.Ask = x.ask
}

// give hands a node what only it has.
func (x *secrets) give(node int, b *brokers.Broker) {
	x.issue(node)
	b.Props["ssl.keystore.location"] = x.stores[node]
}

// issue writes a node's key store, with a new key, in the place of the one before.
func (x *secrets) issue(node int) {
	name := fmt.Sprintf("node%d.pem", node)
	fresh := x.authority.Issue(x.t, "node", net.ParseIP(address(node))).Keystore(x.t, x.dir, name+".new")
	x.stores[node] = x.dir + "/" + name
	if err := os.Rename(fresh, x.stores[node]); err != nil {
		x.t.Fatal(err)
	}
}

// as are the options of a client that acts as somebody.
func (x *secrets) as(who string) []kgo.Opt {
	config := &tls.Config{RootCAs: x.authority.Pool()}
	if x.mode == "mtls" {
		config.Certificates = []tls.Certificate{x.pairs[who]}
		return []kgo.Opt{kgo.DialTLSConfig(config)}
	}
	return []kgo.Opt{kgo.DialTLSConfig(config), kgo.SASL(scram.Auth{User: who, Pass: password(who)}.AsSha512Mechanism())}
}

// ask finds out once whether a node that starts answers.
func (x *secrets) ask(ctx context.Context, b *brokers.Broker) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	cl, err := kgo.NewClient(append(x.as("admin"), kgo.SeedBrokers(b.Addr), kgo.RequestRetries(0), kgo.DialTimeout(time.Second))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	resp, err := cl.SeedBrokers()[0].Request(ctx, kmsg.NewPtrMetadataRequest())
	if err != nil {
		return err
	}
	if m := resp.(*kmsg.MetadataResponse); len(m.Brokers) == 0 || m.ControllerID < 0 {
		return errors.New("no broker is registered yet")
	}
	return nil
}

// allow gives app the rights that the load and the group need.
func (x *secrets) allow(s *scene) {
	x.t.Helper()
	rules := kadm.NewACLs().Allow("User:app").Topics("t", ledgerTopic, resultTopic).Groups("g", ledgerChain).TransactionalIDs("ledger-0", "ledger-1", ledgerChain).ResourcePatternType(kadm.ACLPatternLiteral).
		Operations(kadm.OpWrite, kadm.OpRead, kadm.OpDescribe)
	await(x.t, s.ctx, "the rules are made", func() bool {
		made, err := s.adm.CreateACLs(s.ctx, rules)
		if err != nil {
			return false
		}
		for _, r := range made {
			if r.Err != nil {
				return false
			}
		}
		return true
	})
}

// check looks that no broker has become lax: who has no right gets none, at each of them, and who cannot prove who he is does not
// get in. Then a node gets a new certificate, which it has to use without being restarted.
func (x *secrets) check(ctx context.Context, s *scene) {
	x.t.Helper()
	known, err := s.adm.ListTopics(ctx, "t")
	if err != nil {
		x.t.Fatal(err)
	}
	for i, b := range s.nodes[:s.brokers] {
		stranger, err := kgo.NewClient(append(x.as("stranger"), kgo.SeedBrokers(b.Addr), kgo.RequestRetries(2))...)
		if err != nil {
			x.t.Fatal(err)
		}
		req := kmsg.NewPtrProduceRequest()
		req.Acks, req.TimeoutMillis = -1, 5000
		topic := kmsg.NewProduceRequestTopic()
		topic.Topic, topic.TopicID = "t", known["t"].ID
		topic.Partitions = append(topic.Partitions, kmsg.NewProduceRequestTopicPartition())
		req.Topics = append(req.Topics, topic)
		resp, err := stranger.SeedBrokers()[0].RetriableRequest(ctx, req)
		stranger.Close()
		if err != nil {
			x.t.Errorf("node %d: the stranger is not answered: %v", i+1, err)
			continue
		}
		answer := resp.(*kmsg.ProduceResponse)
		if len(answer.Topics) != 1 || len(answer.Topics[0].Partitions) != 1 || answer.Topics[0].Partitions[0].ErrorCode != kerr.TopicAuthorizationFailed.Code {
			x.t.Errorf("node %d answers the stranger with %+v", i+1, answer.Topics)
		}
		impostor := append([]kgo.Opt{kgo.SeedBrokers(b.Addr), kgo.RequestRetries(0)}, x.impostor()...)
		cl, err := kgo.NewClient(impostor...)
		if err != nil {
			x.t.Fatal(err)
		}
		if _, err := cl.SeedBrokers()[0].Request(ctx, kmsg.NewPtrMetadataRequest()); err == nil {
			x.t.Errorf("node %d lets an impostor in", i+1)
		}
		cl.Close()
	}
	x.issue(s.any())
}

// impostor are the options of somebody who says that he is the administrator.
func (x *secrets) impostor() []kgo.Opt {
	config := &tls.Config{RootCAs: x.authority.Pool()}
	if x.mode == "mtls" {
		pair := certkit.New(x.t).Issue(x.t, "admin")
		cert, err := tls.X509KeyPair([]byte(pair.Chain), []byte(pair.Key))
		if err != nil {
			x.t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{cert}
		return []kgo.Opt{kgo.DialTLSConfig(config)}
	}
	return []kgo.Opt{kgo.DialTLSConfig(config), kgo.SASL(scram.Auth{User: "admin", Pass: password("app")}.AsSha512Mechanism())}
}

// TestFaultsWithPasswords is TestFaultsInNetworks with TLS, SCRAM and an authorizer on all listeners: for clients, between brokers
// and between controllers.
func TestFaultsWithPasswords(t *testing.T) { faultsWhileSecured(t, "scram", "kill controller") }

// TestFaultsWithCertificates is TestFaultsInNetworks with TLS, in which both sides show certificates, and an authorizer on all
// listeners.
func TestFaultsWithCertificates(t *testing.T) { faultsWhileSecured(t, "mtls", "kill") }

func faultsWhileSecured(t *testing.T, mode string, names ...string) {
	if !inOwnNetwork(t) {
		return
	}
	if os.Getenv("WEIR_CLUSTER_MINUTES") != "" {
		names = nil
	}
	s := newScene(t, staging{secured: mode})
	s.play(names)
	s.judge()
}
