package node

import (
	"slices"
	"strings"
	"testing"

	"github.com/weir-stream/weir/internal/telemetry"
)

// TestControllerHasNothingOfABroker: a node that is only a controller has no rooms for logs and groups, no figures of them and
// none of their files, as Apache Kafka's; it keeps those of a broker that was there before.
func TestControllerHasNothingOfABroker(t *testing.T) {
	k := newClusterOf(t, []string{"controller", "broker"})
	m := k.members[0]
	if err := m.fs.MkdirAll("/data/left-0"); err != nil {
		t.Fatal(err)
	}
	metrics := telemetry.New(telemetry.Options{MaxPartitionSeries: 1000})
	m.metrics = metrics
	k.start(k.members...)
	k.create(k.client(), "t", 3, 1)
	if n := m.n; n.replicas != nil || n.groups != nil || n.uplink != nil || n.ids != nil || len(n.logs.All()) > 0 {
		t.Errorf("rooms of a broker: %v %v %v %v", n.replicas, n.groups, n.uplink, n.ids)
	}
	text := scrape(t, metrics)
	for _, name := range []string{"kafka_server_replicamanager_", "kafka_coordinator_group_", "kafka_log_log_", "group_coordinator"} {
		if i := strings.Index(text, "\n"+name); i >= 0 {
			t.Errorf("a figure of a broker: %s", strings.SplitN(text[i+1:], "\n", 2)[0])
		}
	}
	for _, name := range []string{"kafka_controller_kafkacontroller_activecontrollercount 1", "kafka_controller_kafkacontroller_globalpartitioncount 3", "kafka_server_raftmetrics_"} {
		if !strings.Contains(text, "\n"+name) {
			t.Errorf("%s is not served", name)
		}
	}
	for range 2 {
		if err := m.n.Stop(); err != nil {
			t.Error(err)
		}
		m.n = nil
		k.start(m)
	}
	if err := m.n.Stop(); err != nil {
		t.Error(err)
	}
	m.n = nil
	files, err := m.fs.List("/data")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !slices.Contains([]string{"meta.properties", "bootstrap.checkpoint", "__cluster_metadata-0", ".lock", "left-0"}, f.Name) {
			t.Errorf("a file of a broker: %s", f.Name)
		}
	}
}
