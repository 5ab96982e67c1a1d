package log

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestMetaPropertiesRoundTrip(t *testing.T) {
	m := MetaProperties{Version: 1, ClusterID: "kXbsFcGxQcWy9XzurXHdmQ", NodeID: 7, DirectoryID: [16]byte{1, 2, 3}}
	text := m.Format(time.Date(2026, 11, 23, 19, 54, 28, 0, time.UTC))
	if !strings.HasPrefix(string(text), "#\n#Mon Nov 23 19:54:28 UTC 2026\nnode.id=7\n") {
		t.Errorf("text %q", text)
	}
	got, err := ParseMetaProperties(text)
	if err != nil || got != m {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestMetaPropertiesOfZooKeeper(t *testing.T) {
	got, err := ParseMetaProperties([]byte("#Tue\nbroker.id=0\nversion=0\ncluster.id=abc\n"))
	if err != nil || got.Version != 0 || got.NodeID != 0 || got.ClusterID != "abc" {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestMetaPropertiesRefused(t *testing.T) {
	for _, text := range []string{"", "version=2\nnode.id=1\ncluster.id=x", "version=1\ncluster.id=x", "version=1\nnode.id=-3\ncluster.id=x",
		"version=1\nnode.id=1", "version=1\nnode.id=1\ncluster.id=x\ndirectory.id=nonsense!"} {
		if _, err := ParseMetaProperties([]byte(text)); !errors.Is(err, ErrMetaProperties) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzMetaProperties(f *testing.F) {
	f.Add([]byte("#\n#x\nnode.id=1\ndirectory.id=apvHfjy2-fdOJaweasH63Q\nversion=1\ncluster.id=kXbsFcGxQcWy9XzurXHdmQ\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseMetaProperties(data)
		if err != nil || m.Version == 0 || strings.ContainsAny(m.ClusterID, "\\\n\r\t\f #!=:") || m.ClusterID != strings.TrimSpace(m.ClusterID) {
			return
		}
		again, err := ParseMetaProperties(m.Format(time.Unix(0, 0)))
		if err != nil || again != m {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
	})
}
