package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/quorum"
	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

// setFeature asks for a level of a feature; kind is the type of the update.
func (k *cluster) setFeature(c *kgo.Client, feature string, level int16, kind int8, validate bool) (wire.Code, string) {
	k.t.Helper()
	req := kmsg.NewPtrUpdateFeaturesRequest()
	req.ValidateOnly = validate
	u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	u.Feature, u.MaxVersionLevel, u.UpgradeType = feature, level, kind
	req.FeatureUpdates = append(req.FeatureUpdates, u)
	resp, err := req.RequestWith(k.ctx(), c)
	if err != nil {
		k.t.Fatal(err)
	}
	text := ""
	if resp.ErrorMessage != nil {
		text = *resp.ErrorMessage
	}
	return wire.Code(resp.ErrorCode), text
}

// upgradeQuorum makes a static quorum a dynamic one, as soon as all voters have told the leader of themselves.
func (k *cluster) upgradeQuorum(c *kgo.Client) {
	k.t.Helper()
	k.eventually("the quorum can be upgraded", func() bool {
		code, text := k.setFeature(c, "kraft.version", 1, 1, true)
		if code != wire.None && !strings.Contains(text, "because not all of the voters support it") && !strings.Contains(text, "has not registered") {
			k.t.Fatalf("%v: %s", code, text)
		}
		return code == wire.None
	})
	if level := k.active().n.quorum.Status().KRaftVersion; level != 0 {
		k.t.Fatalf("it was only to be tried; the level is %d", level)
	}
	if code, text := k.setFeature(c, "kraft.version", 1, 1, false); code != wire.None {
		k.t.Fatalf("%v: %s", code, text)
	}
}

// TestStaticQuorumBecomesDynamic: three voters of a static quorum become those of a dynamic one. Their settings name them for ever, and are
// ignored: one is removed and added again, and another is added.
func TestStaticQuorumBecomesDynamic(t *testing.T) {
	k := newClusterOf(t, threeCombined)
	k.start(k.members...)
	c := k.client()
	k.create(c, "t", 3, 3)
	k.produce(c, "t", 9)
	if code := k.add(c, k.members[0]); code != wire.UnsupportedVersion {
		t.Errorf("add to a static quorum: %v", code)
	}
	k.upgradeQuorum(c)
	k.votersAre(1, 2, 3)
	k.eventually("all nodes know that the quorum is dynamic", func() bool {
		return !slices.ContainsFunc(k.members, func(m *member) bool {
			st := m.n.quorum.Status()
			return st.KRaftVersion != 1 || m.n.image.Load().KRaftVersion() != 1 || st.Voters[m.id-1].DirectoryID != m.n.metadataID || len(st.Voters[m.id-1].Endpoints) != 1
		})
	})
	k.describeQuorum(c, 3, 0)
	if code, text := k.setFeature(c, "kraft.version", 0, 2, false); code != wire.InvalidUpdateVersion || !strings.Contains(text, "Can't downgrade the version of this feature.") {
		t.Errorf("downgrade: %v: %s", code, text)
	}
	if code, text := k.setFeature(c, "kraft.version", 1, 1, false); code != wire.None {
		t.Errorf("a second time: %v: %s", code, text)
	}

	fourth := &member{k: k, id: 4, roles: "broker,controller", fs: vfs.NewMem(), controller: fmt.Sprintf("127.0.0.1:%d", freePort(t))}
	k.members = append(k.members, fourth)
	fourth.formatVoter(nil)
	k.start(fourth)
	if code := k.add(c, fourth); code != wire.None {
		t.Fatalf("add: %v", code)
	}
	k.votersAre(1, 2, 3, 4)
	second := k.members[1]
	dir := second.n.metadataID
	for k.remove(c, 2, dir) == wire.NotController { // it led
	}
	k.votersAre(1, 3, 4)

	for _, m := range k.members {
		m.kill()
	}
	k.start(k.members...)
	k.votersAre(1, 3, 4)
	c = k.client()
	k.produce(c, "t", 9)
	if code := k.add(c, second); code != wire.None {
		t.Fatalf("add the removed one: %v", code)
	}
	k.votersAre(1, 2, 3, 4)

	k.allInSync("t")
	k.consume("t", 9)
}

// TestLostLeaderFindsThatItIsReplaced: after a static quorum has become a dynamic one its leader loses its disk. By its settings it takes itself for
// one of the voters, and the others may still name it as their leader. It hears that it is none, ends, and started again it can be
// added in its own place.
func TestLostLeaderFindsThatItIsReplaced(t *testing.T) {
	k := newClusterOf(t, threeCombined)
	k.start(k.members...)
	c := k.client()
	k.create(c, "t", 3, 3)
	k.produce(c, "t", 9)
	k.upgradeQuorum(c)
	k.eventually("all nodes know that the quorum is dynamic", func() bool {
		return !slices.ContainsFunc(k.members, func(m *member) bool { return m.n.quorum.Status().KRaftVersion != 1 })
	})

	lost := k.active()
	old := lost.n.metadataID
	lost.kill()
	lost.fs = vfs.NewMem()
	lost.format()
	n, err := Start(k.ctx(), lost.options())
	if err == nil {
		select {
		case err = <-n.Failed():
		case <-k.ctx().Done():
			err = context.DeadlineExceeded
		}
		lost.n = n
		lost.kill()
	}
	if !errors.Is(err, quorum.ErrReplaced) {
		t.Fatalf("it went on: %v", err)
	}
	k.start(lost)
	if code := k.add(c, lost); code != wire.DuplicateVoter {
		t.Errorf("add while the old one is there: %v", code)
	}
	for code := wire.NotController; code != wire.None; code = k.remove(c, lost.id, old) {
		if code != wire.NotController && code != wire.RequestTimedOut {
			t.Fatalf("remove the old one: %v", code)
		}
	}
	if code := k.add(c, lost); code != wire.None {
		t.Fatalf("add the new one: %v", code)
	}
	k.votersAre(1, 2, 3)
	k.allInSync("t")
	k.consume("t", 9)
}
