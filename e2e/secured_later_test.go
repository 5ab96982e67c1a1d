//go:build e2e && linux

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/security/sasl"
	"github.com/weir-stream/weir/internal/testkit/certkit"
	"github.com/weir-stream/weir/internal/testkit/cluster"
)

// securePort is that of the listener that comes later; each node has an address of its own.
const securePort = 30000

// TestSecuredLater secures a cluster in the clear by restarts, one node after the other, while it is used: a listener with TLS and
// SCRAM is added, the brokers move to it, the clients do, and the old one goes.
func TestSecuredLater(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	s := newScene(t, staging{})
	x := newSecrets(t, "scram")
	for _, who := range []string{"node", "app", "admin"} {
		mechanism := kadm.ScramSha512
		if who == "node" {
			mechanism = kadm.ScramSha256
		}
		await(t, s.ctx, who+" has a password", func() bool {
			got, err := s.adm.AlterUserSCRAMs(s.ctx, nil, []kadm.UpsertSCRAM{{User: who, Mechanism: mechanism, Iterations: 4096, Password: password(who)}})
			return err == nil && got.Ok()
		})
	}
	secure := func(node int) string { return fmt.Sprintf("%s:%d", address(node), securePort) }
	ca := certkit.File(t, x.dir, "ca.pem", x.authority.PEM)
	s.rollOut("a second listener", func(node int) map[string]string {
		x.issue(node)
		b, prefix := s.nodes[node-1], "listener.name.secure."
		return map[string]string{
			"listeners":                      fmt.Sprintf("PLAINTEXT://%s,CONTROLLER://%s:%d,SECURE://%s", b.Addr, b.Host, b.Controller, secure(node)),
			"advertised.listeners":           fmt.Sprintf("PLAINTEXT://%s,SECURE://%s", b.Addr, secure(node)),
			"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL",
			"ssl.keystore.type":              "PEM", "ssl.keystore.location": x.stores[node], "ssl.truststore.type": "PEM", "ssl.truststore.location": ca,
			prefix + "sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512", "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-256",
			prefix + "scram-sha-256.sasl.jaas.config": sasl.ScramLoginModule + ` required username="node" password="` + password("node") + `";`,
			prefix + "scram-sha-512.sasl.jaas.config": sasl.ScramLoginModule + " required;",
		}
	})
	s.rollOut("the brokers' way to each other", func(int) map[string]string { return map[string]string{"inter.broker.listener.name": "SECURE"} })

	// The old load ends and is judged; the new one comes by the new listener, and the old listener goes under it.
	s.judge()
	for i, b := range s.nodes {
		b.Addr, b.Ask = secure(i+1), x.ask
	}
	s.secret = x
	s.cl = s.connect("admin")
	s.adm = kadm.NewClient(s.cl)
	s.createTopic("u", s.partitions, nil)
	s.topics = map[string]int{"u": s.partitions}
	producer := s.connect("app", kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	s.load = cluster.StartSteadyLoad(t, cluster.Pattern{Topic: "u", Partitions: s.partitions, Pace: 10 * time.Millisecond}, []*kgo.Client{producer})
	for _, node := range s.rng.Perm(len(s.nodes)) {
		s.restartAs(node+1, map[string]string{
			"listeners":            fmt.Sprintf("CONTROLLER://%s:%d,SECURE://%s", s.nodes[node].Host, s.nodes[node].Controller, secure(node+1)),
			"advertised.listeners": "SECURE://" + secure(node+1),
		})
		await(t, s.ctx, "all replicas are in sync", func() bool { return inSync(s.ctx, s.adm, "u") })
		s.goesOn(s.ctx, "without the old listener")
	}
	s.load.Finish()
	out := s.load.Check(s.ctx, s.connect("app", kgo.ConsumeTopics("u"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())))
	if out.Failed > 0 {
		t.Errorf("%d sends failed", out.Failed)
	}
	t.Logf("FIGURE while the old listener went: %d records acknowledged, %d lost, %d doubled", out.Acked, out.Lost, out.Doubled)
}

// rollOut changes the settings of one node after the other, under the load.
func (s *scene) rollOut(what string, settings func(node int) map[string]string) {
	s.t.Helper()
	for _, i := range s.rng.Perm(len(s.nodes)) {
		s.restartAs(i+1, settings(i+1))
		s.healthy(what)
	}
}

// restartAs restarts a node with other settings.
func (s *scene) restartAs(node int, settings map[string]string) {
	s.t.Helper()
	b := s.nodes[node-1]
	if err := b.Stop(); err != nil {
		s.t.Error(err)
	}
	if err := b.Reconfigure(settings); err != nil {
		s.t.Fatal(err)
	}
	s.start(node)
}
