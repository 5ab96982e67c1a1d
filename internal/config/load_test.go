package config

import (
	"os"
	"strings"
	"testing"
)

func loadFile(t *testing.T, name string, overrides ...string) (*Set, []Notice) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	props, err := ParseProperties(data)
	if err != nil {
		t.Fatal(err)
	}
	s, notices, err := Load(props, overrides)
	if err != nil {
		t.Fatal(err)
	}
	return s, notices
}

func TestSampleOfKafka25StartsAsOneNode(t *testing.T) {
	s, notices := loadFile(t, "kafka-2.5.properties")
	if len(notices) != 2 || !strings.Contains(notices[0].String(), "ZooKeeper is not needed") || !notices[1].Info {
		t.Errorf("notices = %q, want the one line on ZooKeeper", notices)
	}
	n := s.Node()
	if n.ID != 0 || !n.Broker || !n.Controller || !n.Legacy || !n.Alone {
		t.Errorf("node = %+v", n)
	}
	if len(n.Advertised) != 1 || n.Advertised[0].String() != "PLAINTEXT://my-kafka:9092" {
		t.Errorf("advertised = %v", n.Advertised)
	}
	if len(n.Listeners) != 2 || n.Listeners[0].String() != "PLAINTEXT://:9092" || !n.Listeners[1].MadeUp || !n.Listeners[1].Controller {
		t.Errorf("listeners = %v", n.Listeners)
	}
	if got := s.Topic(nil).RetentionMs; got != 168*3600*1000 {
		t.Errorf("retention = %d", got)
	}
}

func TestSampleOfKafka4(t *testing.T) {
	s, notices := loadFile(t, "kafka-4.properties")
	if len(notices) != 1 || !notices[0].Info || !strings.Contains(notices[0].Text, "num.network.threads") {
		t.Errorf("notices = %v, want the one on settings without effect", notices)
	}
	n := s.Node()
	if n.ID != 1 || n.Legacy || !n.Alone || n.InterBroker != "PLAINTEXT" || n.MetadataDir != "/tmp/kraft-combined-logs" {
		t.Errorf("node = %+v", n)
	}
	if len(n.AdvertisedController) != 1 || n.AdvertisedController[0].String() != "CONTROLLER://localhost:9093" {
		t.Errorf("controllers = %v", n.AdvertisedController)
	}
}
