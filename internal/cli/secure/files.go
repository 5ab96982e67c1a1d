package secure

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/weir-stream/weir/internal/controlplane/certs"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// nodeUser is what every node is called by the others, whatever its certificate's name.
const nodeUser = "weir-node"

const scramModule = "org.apache.kafka.common.security.scram.ScramLoginModule"

// settings is a properties file under construction.
type settings struct{ bytes.Buffer }

func (s *settings) comment(text string) { fmt.Fprintf(s, "\n# %s\n", text) }

// set writes one line. A backslash begins an escape in such files.
func (s *settings) set(key, format string, args ...any) {
	fmt.Fprintf(s, "%s=%s\n", key, strings.ReplaceAll(fmt.Sprintf(format, args...), `\`, `\\`))
}

// listenAddress is where a node listens: on the loopback address only, if that is how it is reached.
func listenAddress(host string, port int) string {
	if host == "localhost" {
		return address("127.0.0.1", port)
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
		return address(host, port)
	}
	return address("", port)
}

// nodeProperties are the settings of a node whose files lie in dir.
func nodeProperties(p *plan, n node, dir string) []byte {
	var voters []string
	for _, v := range p.Nodes {
		voters = append(voters, fmt.Sprintf("%d@%s", v.ID, v.controller()))
	}
	alone := len(p.Nodes) == 1
	internalHost := n.Host
	if alone {
		internalHost = "localhost" // nobody but the node itself has to reach these
		voters = []string{fmt.Sprintf("%d@%s", n.ID, address(internalHost, n.Port+1))}
	}
	var s settings
	fmt.Fprintf(&s, "# Node %d of the cluster %s, made by weir security init. Apache Kafka reads it too.\n", n.ID, p.Name)
	s.set("process.roles", "broker,controller")
	s.set("node.id", "%d", n.ID)
	s.set("controller.quorum.voters", "%s", strings.Join(voters, ","))
	s.set("log.dirs", "%s", filepath.Join(dir, dataFolder))

	s.comment("Clients come to CLIENTS with a name and a password. Nodes come to the other two with their certificates.")
	s.set("listeners", "CLIENTS://%s,CONTROLLER://%s,NODES://%s", listenAddress(n.Host, n.Port), listenAddress(internalHost, n.Port+1), listenAddress(internalHost, n.Port+2))
	s.set("advertised.listeners", "CLIENTS://%s,CONTROLLER://%s,NODES://%s", n.bootstrap(), address(internalHost, n.Port+1), address(internalHost, n.Port+2))
	s.set("listener.security.protocol.map", "CLIENTS:SASL_SSL,CONTROLLER:SSL,NODES:SSL")
	s.set("inter.broker.listener.name", "NODES")
	s.set("controller.listener.names", "CONTROLLER")

	s.comment("The node's certificate and key, and the authority that signs those of all nodes. A new file counts without a restart.")
	s.set("ssl.keystore.type", "PEM")
	s.set("ssl.keystore.location", "%s", filepath.Join(dir, n.name()+".pem"))
	s.set("ssl.truststore.type", "PEM")
	s.set("ssl.truststore.location", "%s", filepath.Join(dir, certs.CAFile))
	s.set("ssl.enabled.protocols", "TLSv1.2,TLSv1.3")
	for _, l := range []string{"controller", "nodes"} {
		s.set("listener.name."+l+".ssl.client.auth", "required")
		s.set("listener.name."+l+".ssl.principal.mapping.rules", "RULE:^CN=node-[0-9]+$/%s/", nodeUser)
	}

	s.comment("The users and their passwords are in the cluster's metadata: weir security user add, or kafka-configs.")
	s.set("sasl.enabled.mechanisms", "SCRAM-SHA-512")
	s.set("listener.name.clients.sasl.enabled.mechanisms", "SCRAM-SHA-512")
	s.set("listener.name.clients.scram-sha-512.sasl.jaas.config", "%s required;", scramModule)

	s.comment("Nobody may do anything that no rule allows (kafka-acls), but for the administrator and the nodes.")
	s.set("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer")
	s.set("super.users", "User:%s;User:%s", p.Admin, nodeUser)
	s.set("allow.everyone.if.no.acl.found", "false")

	factor, inSync := spec.Replication(len(p.Nodes))
	s.comment("How often records are kept, with " + count(len(p.Nodes), "node") + ".")
	for _, key := range []string{"default.replication.factor", "offsets.topic.replication.factor", "transaction.state.log.replication.factor",
		"share.coordinator.state.topic.replication.factor"} {
		s.set(key, "%d", factor)
	}
	for _, key := range []string{"min.insync.replicas", "transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr"} {
		s.set(key, "%d", inSync)
	}
	s.set("auto.create.topics.enable", "false")
	return s.Bytes()
}

// user is what one needs to reach the cluster.
type user struct {
	bootstrap, name, password string
	authority                 *certs.Authority
}

// madeClient are the files that were written for a user.
type madeClient struct {
	Java       string `json:"java"`
	Librdkafka string `json:"librdkafka"`
	FranzGo    string `json:"franzGo,omitempty"`
}

// write puts a user's files into dir: Java's, librdkafka's and, for the administrator, an example for franz-go. name
// is what they begin with; "" for the administrator.
func (u user) write(dir, name string) (madeClient, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return madeClient{}, err
	}
	text, err := os.ReadFile(u.authority.Path())
	if err != nil {
		return madeClient{}, err
	}
	out := madeClient{Java: filepath.Join(dir, clientProperties), Librdkafka: filepath.Join(dir, librdkafkaProperties)}
	if name != "" {
		out = madeClient{Java: filepath.Join(dir, name+".properties"), Librdkafka: filepath.Join(dir, name+".librdkafka.conf")}
	} else {
		out.FranzGo = filepath.Join(dir, franzGoSnippet)
		if err := certs.WritePrivate(out.FranzGo, u.franzGo()); err != nil {
			return out, err
		}
	}
	if err := certs.WritePrivate(out.Java, u.java(string(text))); err != nil {
		return out, err
	}
	return out, certs.WritePrivate(out.Librdkafka, u.librdkafka())
}

// java is what Java's clients and all tools read. The authority stands in it, so that the file can go anywhere.
func (u user) java(ca string) []byte {
	var s settings
	fmt.Fprintf(&s, "# %s, for Java's clients and Kafka's tools (--command-config). It holds a password.\n", u.name)
	s.set("bootstrap.servers", "%s", u.bootstrap)
	s.set("security.protocol", "SASL_SSL")
	s.set("sasl.mechanism", "SCRAM-SHA-512")
	s.set("sasl.jaas.config", `%s required username="%s" password="%s";`, scramModule, u.name, u.password)
	s.set("ssl.truststore.type", "PEM")
	fmt.Fprintf(&s, "ssl.truststore.certificates=%s\n", strings.ReplaceAll(strings.TrimSpace(ca), "\n", `\n\`+"\n"))
	return s.Bytes()
}

// librdkafka is what kcat (-F) and clients on librdkafka read.
func (u user) librdkafka() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s, for librdkafka: kcat -F FILE. It holds a password.\n", u.name)
	fmt.Fprintf(&b, "bootstrap.servers=%s\nsecurity.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nsasl.username=%s\nsasl.password=%s\nssl.ca.location=%s\n",
		u.bootstrap, u.name, u.password, u.authority.Path())
	return b.Bytes()
}

// franzGo shows the same for a Go program. The password comes from the environment there.
func (u user) franzGo() []byte {
	return fmt.Appendf(nil, `// %[1]s with franz-go; KAFKA_PASSWORD is the password in client.properties.
//
//	"crypto/tls", "crypto/x509", "os"
//	"github.com/twmb/franz-go/pkg/kgo", "github.com/twmb/franz-go/pkg/sasl/scram"

func client() (*kgo.Client, error) {
	ca, err := os.ReadFile(%[2]q)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return kgo.NewClient(
		kgo.SeedBrokers(%[3]s),
		kgo.DialTLSConfig(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}),
		kgo.SASL(scram.Auth{User: %[1]q, Pass: os.Getenv("KAFKA_PASSWORD")}.AsSha512Mechanism()),
	)
}
`, u.name, u.authority.Path(), `"`+strings.ReplaceAll(u.bootstrap, ",", `", "`)+`"`)
}
