package apachekafka

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-stream/weir/internal/controlplane/certs"
	"github.com/weir-stream/weir/internal/controlplane/engine"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

func sample() (*spec.Cluster, engine.Materials) {
	c := &spec.Cluster{Name: "orders", EngineVersion: "4.3.1", Secured: true, Settings: map[string]string{"num.partitions": "7"}}
	for i := range int32(4) {
		b := spec.Broker{ID: i + 1, ClientPort: 21000, InternalPort: 21001, MemoryBytes: 1 << 30, Rack: "r1"}
		if i < 3 {
			b.Controller, b.ControllerPort = true, 21010+int(i)
		}
		c.Brokers = append(c.Brokers, b)
	}
	return c, engine.Materials{Layout: engine.Layout{Dir: "/c"}, Cert: certs.Issued{Keystore: "/c/k.pem", Truststore: "/c/ca.pem"},
		Secrets: certs.Secrets{AdminPassword: "adminpw", BrokerPassword: "brokerpw"}}
}

func TestProperties(t *testing.T) {
	c, m := sample()
	var i installation
	for _, b := range []spec.Broker{c.Brokers[0], c.Brokers[3]} {
		p, err := i.Properties(c, b, m)
		if err != nil {
			t.Fatal(err)
		}
		for k, want := range map[string]string{
			"num.partitions": "7", "broker.rack": "r1", "default.replication.factor": "3", "min.insync.replicas": "2",
			"controller.quorum.voters":       "1@127.0.0.1:21010,2@127.0.0.1:21011,3@127.0.0.1:21012",
			"allow.everyone.if.no.acl.found": "false", "super.users": "User:weir-admin;User:weir-broker",
			"listener.name.controllers.ssl.client.auth": "required",
			"listener.security.protocol.map":            "CLIENTS:SASL_SSL,BROKERS:SASL_SSL,CONTROLLERS:SSL",
		} {
			if p[k] != want {
				t.Errorf("broker %d: %s=%s, want %s", b.ID, k, p[k], want)
			}
		}
		if (p["process.roles"] == "broker,controller") != b.Controller || strings.Contains(p["listeners"], "CONTROLLERS") != b.Controller {
			t.Errorf("broker %d: %s %s", b.ID, p["process.roles"], p["listeners"])
		}
		if strings.Contains(p["listeners"], "PLAINTEXT") || !strings.Contains(p["listeners"], "127.0.0.1") {
			t.Error(p["listeners"])
		}
		for k, v := range p {
			if strings.Contains(v, "adminpw") {
				t.Errorf("the administrator's password is in %s", k)
			}
		}
	}
	c.Secured = false
	if _, err := i.Properties(c, c.Brokers[0], m); err == nil {
		t.Error("an open cluster was accepted")
	}
}

// TestSmallHeap: the cleaner's buffer fits into the heap, unless the user says otherwise.
func TestSmallHeap(t *testing.T) {
	c, m := sample()
	var i installation
	for memory, want := range map[int64]string{256 << 20: "25165824", 1 << 30: "67108864", 4 << 30: ""} {
		b := c.Brokers[0]
		b.MemoryBytes = memory
		p, err := i.Properties(c, b, m)
		if err != nil || p["log.cleaner.dedupe.buffer.size"] != want {
			t.Errorf("%d bytes of memory: %q, want %q, %v", memory, p["log.cleaner.dedupe.buffer.size"], want, err)
		}
	}
	c.Settings = map[string]string{"log.cleaner.dedupe.buffer.size": "7"}
	if p, err := i.Properties(c, c.Brokers[0], m); err != nil || p["log.cleaner.dedupe.buffer.size"] != "7" {
		t.Errorf("%v %v", p, err)
	}
}

// TestCommandShowsNoSecret: arguments and environment are for all to see.
func TestCommandShowsNoSecret(t *testing.T) {
	c, m := sample()
	i := installation{dist: "/d", java: "/j", agent: "/a.jar"}
	cmd, err := i.Command(c, c.Brokers[0], m)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(append(cmd.Args, cmd.Env...), " ")
	if strings.Contains(all, "adminpw") || strings.Contains(all, "brokerpw") {
		t.Error(all)
	}
	if !strings.Contains(all, "-Xmx512m") || cmd.Path != "/j" {
		t.Error(all)
	}
}

func TestPrepareFailsClearly(t *testing.T) {
	dist := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dist, "libs"), 0o755); err != nil {
		t.Fatal(err)
	}
	c, _ := sample()
	say := func(want string) {
		t.Helper()
		_, err := (&Engine{Cache: filepath.Join(dist, "cache")}).Prepare(context.Background(), c, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	bin := t.TempDir()
	t.Setenv("JAVA_HOME", "")
	t.Setenv("PATH", bin)
	say("install a JDK")
	if err := os.WriteFile(filepath.Join(bin, "java"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	say("install Maven")
	c.DistDir = dist
	say("is no Apache Kafka")
	jar := filepath.Join(dist, "libs", "kafka_2.13-4.0.0.jar")
	if err := os.WriteFile(jar, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	say("holds Apache Kafka 4.0.0")
	c.EngineVersion = "4.0.0"
	say("JMX exporter")
	t.Setenv("JAVA_HOME", dist)
	say("JAVA_HOME")
}
