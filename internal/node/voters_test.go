package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/node/format"
	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

// newDynamic makes, but does not start, combined nodes of a dynamic quorum, whose first ones are the initial voters.
func newDynamic(t *testing.T, initial, more int, extra ...string) *cluster {
	t.Helper()
	k := &cluster{t: t, extra: extra, dynamic: true}
	for i := range initial + more {
		k.members = append(k.members, &member{k: k, id: i + 1, roles: "broker,controller", fs: vfs.NewMem(), controller: fmt.Sprintf("127.0.0.1:%d", freePort(t))})
	}
	t.Cleanup(func() {
		for _, m := range k.members {
			if m.n != nil {
				m.kill()
			}
		}
	})
	var voters []format.Voter
	for _, m := range k.members[:initial] {
		voters = append(voters, m.asVoter())
	}
	for i, m := range k.members {
		if i < initial {
			m.formatVoter(voters)
		} else {
			m.formatVoter(nil)
		}
	}
	return k
}

// quorumLine is the setting that says where the quorum is.
func (m *member) quorumLine() string {
	k := m.k
	if !k.dynamic && m.controller == "" {
		return "controller.quorum.voters=" + k.voters
	}
	var all []string
	for _, m := range k.members {
		all = append(all, m.controllerAddress())
	}
	return "controller.quorum.bootstrap.servers=" + strings.Join(all[:min(3, len(all))], ",")
}

func (m *member) asVoter() format.Voter {
	host, port, _ := strings.Cut(m.controllerAddress(), ":")
	v := format.Voter{ID: int32(m.id), Host: host, DirectoryID: [16]byte{1, byte(m.id), 7}}
	fmt.Sscan(port, &v.Port)
	return v
}

// formatVoter is kafka-storage format with --initial-controllers or, for none, with --no-initial-controllers.
func (m *member) formatVoter(voters []format.Voter) {
	m.k.t.Helper()
	r := format.Request{Node: m.settings().Node(), ClusterID: "cluster-of-the-test", Out: new(strings.Builder), Now: time.Now(),
		InitialControllers: voters, NoInitialControllers: voters == nil}
	if err := format.Format(m.fs, r); err != nil {
		m.k.t.Fatal(err)
	}
}

func (k *cluster) add(c *kgo.Client, m *member) wire.Code {
	k.t.Helper()
	req := kmsg.NewPtrAddRaftVoterRequest()
	req.VoterID, req.VoterDirectoryID, req.TimeoutMillis = int32(m.id), m.n.metadataID, 20000
	l := kmsg.NewAddRaftVoterRequestListener()
	v := m.asVoter()
	l.Name, l.Host, l.Port = "CONTROLLER", v.Host, uint16(v.Port)
	req.Listeners = append(req.Listeners, l)
	resp, err := req.RequestWith(k.ctx(), c)
	if err != nil {
		k.t.Fatal(err)
	}
	return wire.Code(resp.ErrorCode)
}

func (k *cluster) remove(c *kgo.Client, id int, dir [16]byte) wire.Code {
	k.t.Helper()
	req := kmsg.NewPtrRemoveRaftVoterRequest()
	req.VoterID, req.VoterDirectoryID = int32(id), dir
	resp, err := req.RequestWith(k.ctx(), c)
	if err != nil {
		k.t.Fatal(err)
	}
	return wire.Code(resp.ErrorCode)
}

// allInSync waits until all replicas of some topics are in sync.
func (k *cluster) allInSync(topics ...string) {
	k.t.Helper()
	k.eventually("all replicas are in sync", func() bool {
		img := k.active().n.image.Load()
		for _, name := range topics {
			for _, p := range img.TopicByName(name).Partitions {
				if len(p.ISR) < len(p.Replicas) {
					return false
				}
			}
		}
		return true
	})
}

// votersAre waits until all nodes that run know these voters.
func (k *cluster) votersAre(ids ...int32) {
	k.t.Helper()
	k.eventually(fmt.Sprint("the voters are ", ids), func() bool {
		for _, m := range k.members {
			if m.n == nil {
				continue
			}
			var have []int32
			for _, v := range m.n.quorum.Status().Voters {
				have = append(have, v.ID)
			}
			if !slices.Equal(have, ids) {
				return false
			}
		}
		return true
	})
}

// TestDynamicQuorum: three voters, of which one is removed while it leads, and a fourth is added; a voter that lost its disk
// is replaced; and the cluster serves all the time, and after losing voters that it can spare.
func TestDynamicQuorum(t *testing.T) {
	k := newDynamic(t, 3, 1)
	k.start(k.members...)
	c := k.client()
	k.create(c, "t", 4, 3)
	k.produce(c, "t", 8)
	k.votersAre(1, 2, 3)
	k.describeQuorum(c, 3, 1)
	fourth := k.members[3]
	if code := k.add(c, fourth); code != wire.None {
		t.Fatalf("add: %v", code)
	}
	k.votersAre(1, 2, 3, 4)
	k.describeQuorum(c, 4, 0)
	if code := k.add(c, fourth); code != wire.DuplicateVoter {
		t.Errorf("add a second time: %v", code)
	}
	if code := k.remove(c, 4, [16]byte{9}); code != wire.VoterNotFound {
		t.Errorf("remove another directory: %v", code)
	}

	// The leader removes itself by handing over.
	leader := k.active()
	if code := k.remove(c, leader.id, leader.n.metadataID); code != wire.None {
		t.Fatalf("remove the leader: %v", code)
	}
	rest := slices.DeleteFunc([]int32{1, 2, 3, 4}, func(id int32) bool { return id == int32(leader.id) })
	k.votersAre(rest...)
	if k.active() == leader {
		t.Error("the removed leader is active")
	}
	k.create(c, "after", 1, 4) // the removed one still is a broker, and follows
	k.produce(c, "after", 4)

	// One that has lost its disk is another voter: the old one is removed, the new one added.
	victim := k.active()
	for _, m := range k.members {
		if m != victim && m != leader {
			victim = m
			break
		}
	}
	old := victim.n.metadataID
	victim.kill()
	victim.fs = vfs.NewMem()
	victim.formatVoter(nil)
	k.start(victim)
	if victim.n.metadataID == old {
		t.Fatal("it has its old directory id")
	}
	if code := k.add(c, victim); code != wire.DuplicateVoter {
		t.Errorf("add while the old one is there: %v", code)
	}
	if code := k.remove(c, victim.id, old); code != wire.None {
		t.Fatalf("remove the lost one: %v", code)
	}
	if code := k.add(c, victim); code != wire.None {
		t.Fatalf("add the new one: %v", code)
	}
	k.votersAre(rest...)
	k.allInSync("t", "after")

	// Everybody remembers.
	for _, m := range k.members {
		m.kill()
	}
	k.start(k.members...)
	k.votersAre(rest...)
	k.allInSync("t", "after")
	k.active().kill()
	k.produce(k.client(), "t", 8)
	k.consume("after", 4)
}

// TestStandaloneGrows: a node that was formatted with --standalone becomes three voters, which join by themselves, and one
// of them moves to another port.
func TestStandaloneGrows(t *testing.T) {
	k := newDynamic(t, 1, 2, "controller.quorum.auto.join.enable=true")
	k.start(k.members[0])
	c := k.client()
	k.create(c, "t", 1, 1)
	k.start(k.members[1:]...)
	k.votersAre(1, 2, 3)
	m := k.members[2]
	if err := m.n.Stop(); err != nil {
		t.Error(err)
	}
	m.n = nil
	m.controller = fmt.Sprintf("127.0.0.1:%d", freePort(t))
	k.start(m)
	k.eventually("the voters record says where it listens", func() bool {
		for _, v := range k.active().n.quorum.Status().Voters {
			if v.ID == 3 {
				return fmt.Sprintf("127.0.0.1:%d", v.Endpoints[0].Port) == m.controller
			}
		}
		return false
	})
	k.members[0].kill()
	k.active()
	k.create(k.client(), "after", 1, 1)
}
