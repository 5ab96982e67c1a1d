package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// valid is a cluster that breaks no rule.
func valid(n int) Cluster {
	c := Cluster{ID: "c1", Name: "orders", Engine: EngineApacheKafka, EngineVersion: "4.3.1", Profile: "prod-3", Secured: true,
		State: Creating, KafkaClusterID: "MkU3OEVBNTcwNTJENDM2Qg", Settings: map[string]string{"num.partitions": "6"}}
	for i := range n {
		b := Broker{ID: int32(i + 1), Rack: "r", ClientPort: 20000 + i, InternalPort: 21000 + i, MetricsPort: 22000 + i,
			MemoryBytes: 1 << 30, DiskBytes: 10 << 30}
		if i < Voters(n) {
			b.Controller, b.ControllerPort = true, 23000+i
		}
		c.Brokers = append(c.Brokers, b)
	}
	return c
}

func TestValidClusters(t *testing.T) {
	for n := 1; n <= 9; n++ {
		c := valid(n)
		if err := c.Validate(); err != nil {
			t.Errorf("%d brokers: %v", n, err)
		}
	}
}

// TestEachRule breaks one rule at a time and wants its field, its value and
// words of the rule, and no other field.
func TestEachRule(t *testing.T) {
	for _, tc := range []struct {
		field, value, rule string
		breakIt            func(c *Cluster)
	}{
		{"id", "a/b", "letters", func(c *Cluster) { c.ID = "a/b" }},
		{"name", "", "beginning with a letter", func(c *Cluster) { c.Name = "" }},
		{"name", "Orders", "lower-case", func(c *Cluster) { c.Name = "Orders" }},
		{"name", "../x", "lower-case", func(c *Cluster) { c.Name = "../x" }},
		{"name", "a-", "not ending", func(c *Cluster) { c.Name = "a-" }},
		{"name", "a\nb", "lower-case", func(c *Cluster) { c.Name = "a\nb" }},
		{"name", "new", "reserved", func(c *Cluster) { c.Name = "new" }},
		{"name", strings.Repeat("a", 49), "at most 48", func(c *Cluster) { c.Name = strings.Repeat("a", 49) }},
		{"engine", "kafka", "apache-kafka or weir", func(c *Cluster) { c.Engine = "kafka" }},
		{"engineVersion", "latest", "three numbers", func(c *Cluster) { c.EngineVersion = "latest" }},
		{"engineVersion", "3.9.0", "4.0.0 or later", func(c *Cluster) { c.EngineVersion = "3.9.0" }},
		{"profile", "huge", "dev, prod-3, prod-5", func(c *Cluster) { c.Profile = "huge" }},
		{"state", "HAPPY", "ACTIVE", func(c *Cluster) { c.State = "HAPPY" }},
		{"kafkaClusterId", "x", "22 characters", func(c *Cluster) { c.KafkaClusterID = "x" }},
		{"brokers", "0", "1 to 64", func(c *Cluster) { c.Brokers = nil }},
		{"brokers", "65", "1 to 64", func(c *Cluster) { c.Brokers = valid(65).Brokers }},
		{"brokers", "2", "1, 3 or 5", func(c *Cluster) { c.Brokers[2].Controller, c.Brokers[2].ControllerPort = false, 0 }},
		{"brokers", "2", "all have a rack", func(c *Cluster) { c.Brokers[1].Rack = "" }},
		{"brokers[1].id", "1", "brokers[0] already", func(c *Cluster) { c.Brokers[1].ID = 1 }},
		{"brokers[1].id", "-1", "1 to 9999", func(c *Cluster) { c.Brokers[1].ID = -1 }},
		{"brokers[1].rack", "a b", "letters", func(c *Cluster) { c.Brokers[1].Rack = "a b" }},
		{"brokers[1].clientPort", "80", "1024 to 65535", func(c *Cluster) { c.Brokers[1].ClientPort = 80 }},
		{"brokers[1].metricsPort", "70000", "1024 to 65535", func(c *Cluster) { c.Brokers[1].MetricsPort = 70000 }},
		{"brokers[1].internalPort", "20000", "brokers[0].clientPort already", func(c *Cluster) { c.Brokers[1].InternalPort = 20000 }},
		{"brokers[2].controllerPort", "0", "1024", func(c *Cluster) { c.Brokers[2].ControllerPort = 0 }},
		{"brokers[0].memoryBytes", "1", "256 MiB", func(c *Cluster) { c.Brokers[0].MemoryBytes = 1 }},
		{"brokers[0].diskBytes", "1", "1 GiB", func(c *Cluster) { c.Brokers[0].DiskBytes = 1 }},
		{"settings.node.id", "7", "set by the service", func(c *Cluster) { c.Settings["node.id"] = "7" }},
		{"settings.ssl.keystore.location", "f", "set by the service", func(c *Cluster) { c.Settings["ssl.keystore.location"] = "f" }},
		{"settings.num.partition", "7", "did you mean num.partitions?", func(c *Cluster) { c.Settings["num.partition"] = "7" }},
		{"settings.num.partitions", "many", "", func(c *Cluster) { c.Settings["num.partitions"] = "many" }},
		{"settings.num.partitions", "3\nx=y", "one line", func(c *Cluster) { c.Settings["num.partitions"] = "3\nx=y" }},
		{"settings.weir.durability", "fsync", "", func(c *Cluster) { c.Settings["weir.durability"] = "fsync" }},
		{"settings", "201", "at most 200", func(c *Cluster) {
			for i := range 200 {
				c.Settings[strings.Repeat("k", i+1)] = ""
			}
		}},
	} {
		c := valid(3)
		tc.breakIt(&c)
		got := Fields(c.Validate())
		if len(got) != 1 {
			t.Errorf("%s=%q: %d errors: %v", tc.field, tc.value, len(got), c.Validate())
			continue
		}
		if got[0].Field != tc.field || got[0].Value != tc.value || !strings.Contains(got[0].Rule, tc.rule) || got[0].Rule == "" {
			t.Errorf("got %q = %q: %q, want %q = %q: …%s…", got[0].Field, got[0].Value, got[0].Rule, tc.field, tc.value, tc.rule)
		}
	}
}

func TestAllRulesAtOnce(t *testing.T) {
	c := valid(3)
	c.Name, c.Profile, c.Brokers[0].DiskBytes = "A", "", 0
	if got := Fields(c.Validate()); len(got) != 3 {
		t.Fatalf("want all three errors at once, got %v", got)
	}
	if Fields(nil) != nil || Fields(errors.New("other")) != nil {
		t.Error("errors of other kinds have no fields")
	}
}

func TestSettingsDependOnTheEngine(t *testing.T) {
	if err := ValidateSettings(EngineWeir, map[string]string{"weir.durability": "fsync"}); err != nil {
		t.Error(err)
	}
	if err := ValidateSettings(EngineApacheKafka, map[string]string{"log.retention.hours": "24", "compression.type": "zstd"}); err != nil {
		t.Error(err)
	}
}

func TestTransitions(t *testing.T) {
	for _, s := range States() {
		if !s.May(s) {
			t.Errorf("%s may not stay", s)
		}
		for _, next := range transitions[s] {
			if !next.Valid() {
				t.Errorf("%s leads to %q", s, next)
			}
		}
		if s != Deleting && !s.May(Deleting) {
			t.Errorf("a cluster that is %s cannot be deleted", s)
		}
	}
	for _, bad := range [][2]State{{Stopped, Active}, {Deleting, Active}, {Creating, Updating}, {Active, Creating}, {"", ""}} {
		if bad[0].May(bad[1]) {
			t.Errorf("%q may go to %q", bad[0], bad[1])
		}
	}
	var fe *FieldError
	if err := Stopped.To(Active); !errors.As(err, &fe) || fe.Field != "state" {
		t.Errorf("got %v", err)
	}
	for _, s := range []OpState{OpSucceeded, OpFailed, OpCancelled} {
		if !s.Final() || s.May(OpRunning) {
			t.Errorf("%s is not final", s)
		}
	}
	if !OpPending.May(OpRunning) || !OpRunning.May(OpCancelled) || OpRunning.May(OpPending) {
		t.Error("operation states")
	}
}

func TestJSONRoundTrip(t *testing.T) {
	now := time.Date(2026, 11, 1, 2, 3, 4, 0, time.UTC)
	c := valid(3)
	c.CreatedAt = now
	roundTrip(t, c)
	op, err := NewOperation("op-1", c.ID, OpScale, "ann", Plan{Summary: "s", Risks: []string{"r"}, Steps: []PlannedStep{
		{Kind: StepReassign, Title: "move", Args: StepArgs{Moves: []Move{{Topic: "t", From: []int32{1}, To: []int32{2}, Bytes: 9}}}}}}, now)
	if err != nil {
		t.Fatal(err)
	}
	op.Say(now, "begun by %s", "ann")
	roundTrip(t, *op)
	roundTrip(t, JournalEntry{ID: "j", At: now, Options: []Option{{Name: "restart"}}, EndedAt: &now})
}

func roundTrip[T any](t *testing.T, in T) {
	t.Helper()
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out T
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(in, out); d != "" {
		t.Error(d)
	}
	if key := text[2]; key < 'a' || key > 'z' {
		t.Errorf("not camelCase: %s", text[:20])
	}
}

func TestImpossibleIsNoOperation(t *testing.T) {
	if _, err := NewOperation("op-1", "c", OpScale, "ann", Plan{Impossible: "no room"}, time.Now()); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Fatalf("got %v", err)
	}
}

func TestLogIsBounded(t *testing.T) {
	var op Operation
	for i := range MaxLogLines + 5 {
		op.Say(time.Unix(0, 0), "%d", i)
	}
	if len(op.Log) != MaxLogLines || op.Log[0].Text != "5" {
		t.Fatalf("%d lines, first %q", len(op.Log), op.Log[0].Text)
	}
}

func TestIDsSortByTime(t *testing.T) {
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	last := ""
	for range 100 {
		id, err := NewID("op", at, nil)
		if err != nil || id <= last {
			t.Fatalf("%q after %q: %v", id, last, err)
		}
		last, at = id, at.Add(time.Millisecond)
	}
	if _, err := NewID("op", at, bytes.NewReader(nil)); err == nil {
		t.Error("no chance, no error")
	}
}

func TestBrokersAreCopied(t *testing.T) {
	c := valid(3)
	more := c.WithBrokers(Broker{ID: 9}, Broker{ID: 2, Rack: "new"})
	less := more.WithoutBroker(1)
	if got := more.BrokerIDs(); !cmp.Equal(got, []int32{1, 2, 3, 9}) {
		t.Errorf("with: %v", got)
	}
	if got := less.BrokerIDs(); !cmp.Equal(got, []int32{2, 3, 9}) {
		t.Errorf("without: %v", got)
	}
	if b, _ := c.Broker(2); b.Rack == "new" || len(c.Brokers) != 3 {
		t.Error("the original changed")
	}
	if b, ok := more.Broker(2); !ok || b.Rack != "new" {
		t.Error("not replaced")
	}
	if _, ok := less.Broker(1); ok {
		t.Error("still there")
	}
}

func TestRoles(t *testing.T) {
	if !RoleAdmin.Allows(RoleViewer) || RoleViewer.Allows(RoleOperator) || Role("root").Allows(RoleViewer) || RoleAdmin.Allows("") {
		t.Error("roles")
	}
	if err := (&User{Name: "ann", Role: RoleAdmin, PasswordHash: "x"}).Validate(); err != nil {
		t.Error(err)
	}
	if got := Fields((&User{Name: "a b", Role: "root"}).Validate()); len(got) != 3 {
		t.Errorf("got %v", got)
	}
	now := time.Unix(100, 0)
	if (&Token{}).Expired(now) || !(&Token{ExpiresAt: now}).Expired(now) || !(&Session{ExpiresAt: now}).Expired(now) {
		t.Error("expiry")
	}
	link := SetupLink{ExpiresAt: now.Add(time.Minute)}
	if !link.Usable(now) || link.Usable(now.Add(time.Minute)) {
		t.Error("link by time")
	}
	link.UsedAt = now
	if link.Usable(now) {
		t.Error("a set-up link works twice")
	}
}

func TestMoveCopies(t *testing.T) {
	m := Move{From: []int32{1, 2, 3}, To: []int32{3, 2, 4}}
	if m.Copies() != 1 {
		t.Errorf("got %d", m.Copies())
	}
}

func TestEngineLabel(t *testing.T) {
	for version, want := range map[string]string{
		"4.3.1": "weir 4.3.1", "0.0.0-dev": "weir development build", "0.0.0-4d1a595-dirty": "weir build 4d1a595-dirty",
		"0.0.0-20261128225500-4d1a595b3c6f": "weir build 4d1a595b3c6f", "1.2.3-4-g4d1a595": "weir 1.2.3-4-g4d1a595",
	} {
		if got := (&Cluster{Engine: EngineWeir, EngineVersion: version}).EngineLabel(); got != want {
			t.Errorf("%s: %q, want %q", version, got, want)
		}
	}
}
