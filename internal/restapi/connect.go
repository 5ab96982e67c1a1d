package restapi

import (
	"bufio"
	"context"
	"os"
	"strings"

	"github.com/weir-stream/weir/internal/controlplane"
)

// Connect is what a program needs to reach a cluster.
type Connect struct {
	Bootstrap            []string  `json:"bootstrap"`
	SecurityProtocol     string    `json:"securityProtocol"`
	Mechanism            string    `json:"mechanism" doc:"Empty where nobody logs in"`
	CAPem                string    `json:"caPem"`
	CAPath               string    `json:"caPath"`
	ClientPropertiesPath string    `json:"clientPropertiesPath" doc:"The administrator's way in, on the service's machine"`
	Snippets             []Snippet `json:"snippets"`
}

// Snippet is a program that produces one record, to be pasted.
type Snippet struct {
	Language string `json:"language"`
	Title    string `json:"title"`
	Code     string `json:"code"`
}

func (a *api) connect(ctx context.Context, in *ClusterPath) (*answer[Connect], error) {
	c, err := a.Service.Cluster(ctx, in.Cluster)
	if err != nil {
		return nil, err
	}
	out := Connect{Bootstrap: c.Bootstrap, SecurityProtocol: "PLAINTEXT", CAPath: c.CA, ClientPropertiesPath: c.ClientProperties}
	if c.Secured {
		out.SecurityProtocol, out.Mechanism = protocolOf(c.ClientProperties)
		if pem, err := readCA(c); err == nil {
			out.CAPem = string(pem)
		}
	}
	out.Snippets = snippets(c, out)
	return body(out, nil)
}

// protocolOf reads how clients log in from the administrator's file, and
// nothing else of it.
func protocolOf(file string) (protocol, mechanism string) {
	protocol, mechanism = "SASL_SSL", "SCRAM-SHA-512"
	f, err := os.Open(file)
	if err != nil {
		return protocol, mechanism
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), "=")
		switch strings.TrimSpace(key) {
		case "security.protocol":
			protocol = strings.TrimSpace(value)
		case "sasl.mechanism":
			mechanism = strings.TrimSpace(value)
		}
	}
	return protocol, mechanism
}

// snippets make programs of the templates. What a user of the cluster knows
// and the service does not, name and password, stays in capitals.
func snippets(c controlplane.ClusterView, connect Connect) []Snippet {
	fill := strings.NewReplacer("{bootstrap}", strings.Join(c.Bootstrap, ","), "{ca}", c.CA, "{properties}", c.ClientProperties,
		"{mechanism}", connect.Mechanism, "{cluster}", c.Name)
	var out []Snippet
	for _, t := range templates {
		code := t.open
		if c.Secured {
			code = t.secured
		}
		out = append(out, Snippet{Language: t.language, Title: t.title, Code: fill.Replace(code)})
	}
	return out
}

var templates = []struct{ language, title, open, secured string }{
	{"shell", "Weir's or Kafka's own tools, on this machine",
		`BROKERS={bootstrap}
weir kafka-topics --bootstrap-server $BROKERS --create --topic hello --if-not-exists
echo hi | weir kafka-console-producer --bootstrap-server $BROKERS --topic hello
weir kafka-console-consumer --bootstrap-server $BROKERS --topic hello --from-beginning --max-messages 1
`,
		`BROKERS={bootstrap}
CONFIG="{properties}"
weir kafka-topics --bootstrap-server $BROKERS \
  --command-config "$CONFIG" --create --topic hello --if-not-exists
echo hi | weir kafka-console-producer --bootstrap-server $BROKERS \
  --command-config "$CONFIG" --topic hello
weir kafka-console-consumer --bootstrap-server $BROKERS \
  --command-config "$CONFIG" --topic hello \
  --from-beginning --max-messages 1
`},
	{"properties", "Java, Kafka Connect and all that reads client.properties",
		`bootstrap.servers={bootstrap}
`,
		`bootstrap.servers={bootstrap}
security.protocol=SASL_SSL
sasl.mechanism={mechanism}
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="USER" password="PASSWORD";
ssl.truststore.type=PEM
ssl.truststore.location={ca}
`},
	{"python", "Python (confluent-kafka)",
		`from confluent_kafka import Producer

producer = Producer({"bootstrap.servers": "{bootstrap}"})
producer.produce("hello", b"hi")
producer.flush()
`,
		`from confluent_kafka import Producer

producer = Producer({
    "bootstrap.servers": "{bootstrap}",
    "security.protocol": "SASL_SSL",
    "sasl.mechanism": "{mechanism}",
    "sasl.username": "USER",
    "sasl.password": "PASSWORD",
    "ssl.ca.location": "{ca}",
})
producer.produce("hello", b"hi")
producer.flush()
`},
	{"go", "Go (franz-go)",
		`client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split("{bootstrap}", ",")...))
if err != nil {
	log.Fatal(err)
}
defer client.Close()
if err := client.ProduceSync(ctx, &kgo.Record{Topic: "hello", Value: []byte("hi")}).FirstErr(); err != nil {
	log.Fatal(err)
}
`,
		`pem, err := os.ReadFile("{ca}")
if err != nil {
	log.Fatal(err)
}
roots := x509.NewCertPool()
roots.AppendCertsFromPEM(pem)
client, err := kgo.NewClient(
	kgo.SeedBrokers(strings.Split("{bootstrap}", ",")...),
	kgo.DialTLSConfig(&tls.Config{RootCAs: roots}),
	kgo.SASL(scram.Auth{User: "USER", Pass: "PASSWORD"}.AsSha512Mechanism()),
)
if err != nil {
	log.Fatal(err)
}
defer client.Close()
if err := client.ProduceSync(ctx, &kgo.Record{Topic: "hello", Value: []byte("hi")}).FirstErr(); err != nil {
	log.Fatal(err)
}
`},
}
