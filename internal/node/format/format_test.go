package format

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/log"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/quorum"
	"github.com/weir-stream/weir/internal/vfs"
)

var now = time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC)

const clusterID = "kXbsFcGxQcWy9XzurXHdmQ"

// nodeOf reads settings the way a start does.
func nodeOf(t *testing.T, lines ...string) *config.Node {
	t.Helper()
	props, err := config.ParseProperties([]byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	set, _, err := config.Load(props, nil)
	if err != nil {
		t.Fatal(err)
	}
	return set.Node()
}

func dynamicNode(t *testing.T) *config.Node {
	return nodeOf(t, "process.roles=broker,controller", "node.id=1", "controller.quorum.bootstrap.servers=127.0.0.1:20993",
		"listeners=PLAINTEXT://127.0.0.1:20992,CONTROLLER://127.0.0.1:20993", "controller.listener.names=CONTROLLER", "log.dirs=/d1,/d2")
}

func staticNode(t *testing.T) *config.Node {
	return nodeOf(t, "process.roles=broker,controller", "node.id=1", "controller.quorum.voters=1@127.0.0.1:20993",
		"listeners=PLAINTEXT://127.0.0.1:20992,CONTROLLER://127.0.0.1:20993", "controller.listener.names=CONTROLLER", "log.dirs=/d1,/d2")
}

func legacyNode(t *testing.T) *config.Node {
	return nodeOf(t, "broker.id=0", "listeners=PLAINTEXT://127.0.0.1:20992", "log.dirs=/d1", "zookeeper.connect=localhost:2181")
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func touch(t *testing.T, fs vfs.FS, path, content string) {
	t.Helper()
	if err := fs.MkdirAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := vfs.WriteFileAtomic(fs, path, []byte(content), false); err != nil {
		t.Fatal(err)
	}
}

func TestFormatOutput(t *testing.T) {
	features := "Bootstrap metadata: BootstrapMetadata(records=[ApiMessageAndVersion(FeatureLevelRecord(name='metadata.version', featureLevel=30) at version 0), " +
		"ApiMessageAndVersion(FeatureLevelRecord(name='eligible.leader.replicas.version', featureLevel=1) at version 0), " +
		"ApiMessageAndVersion(FeatureLevelRecord(name='group.version', featureLevel=1) at version 0), " +
		"ApiMessageAndVersion(FeatureLevelRecord(name='share.version', featureLevel=1) at version 0), " +
		"ApiMessageAndVersion(FeatureLevelRecord(name='streams.version', featureLevel=1) at version 0), " +
		"ApiMessageAndVersion(FeatureLevelRecord(name='transaction.version', featureLevel=2) at version 0)], metadataVersionLevel=30, source=format command)\n"
	for _, c := range []struct {
		name       string
		node       *config.Node
		standalone bool
		dir        string
	}{
		{"standalone", dynamicNode(t), true, "Formatting dynamic metadata voter directory /d1 with metadata.version 4.3-IV0.\n"},
		{"static", staticNode(t), false, "Formatting metadata directory /d1 with metadata.version 4.3-IV0.\n"},
	} {
		fs := vfs.NewMem()
		var out strings.Builder
		r := Request{Node: c.node, ClusterID: clusterID, Standalone: c.standalone, Out: &out, Now: now}
		if err := Format(fs, r); err != nil {
			t.Fatal(c.name, err)
		}
		if want := features + c.dir + "Formatting data directory /d2 with metadata.version 4.3-IV0.\n"; out.String() != want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, out.String(), want)
		}
		snap, err := quorum.ReadSnapshot(fs, "/d1/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint")
		if err != nil {
			t.Fatal(c.name, err)
		}
		if dynamic := snap.KRaftVersion > 0; dynamic != c.standalone || (snap.Voters != nil) != c.standalone {
			t.Errorf("%s: kraft.version %d, voters %v", c.name, snap.KRaftVersion, snap.Voters)
		}
		err = Format(fs, r)
		if want := "Log directory /d1 is already formatted. Use --ignore-formatted to ignore this directory and format the others."; err == nil || err.Error() != want {
			t.Errorf("%s: %v", c.name, err)
		}
		out.Reset()
		r.IgnoreFormatted = true
		if err := Format(fs, r); err != nil || out.String() != "All of the log directories are already formatted.\n" {
			t.Errorf("%s: %v, %q", c.name, err, out.String())
		}
		r.Features = map[string]int16{"nope": 1}
		if err := Format(fs, r); err == nil || !strings.HasPrefix(err.Error(), "Unsupported feature: nope.") {
			t.Errorf("%s: a feature is looked at before the directories: %v", c.name, err)
		}
		r.Features, r.ClusterID = nil, "ABC"
		if err := Format(fs, r); err == nil || err.Error() != "Invalid cluster.id in: /d1/meta.properties. Expected ABC, but read "+clusterID {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A controller that is not among --initial-controllers is formatted as one that joins later.
func TestFormatOutsideTheInitialControllers(t *testing.T) {
	fs := vfs.NewMem()
	var out strings.Builder
	r := Request{Node: dynamicNode(t), ClusterID: clusterID, InitialControllers: []Voter{{ID: 77, Host: "a", Port: 1, DirectoryID: [16]byte{7}}}, Out: &out, Now: now}
	if err := Format(fs, r); err != nil || !strings.Contains(out.String(), "\nFormatting dynamic metadata directory /d1 with metadata.version 4.3-IV0.\n") {
		t.Fatal(err, out.String())
	}
	snap, err := quorum.ReadSnapshot(fs, "/d1/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint")
	if err != nil || snap.KRaftVersion != 1 || snap.Voters != nil {
		t.Fatalf("%+v, %v", snap, err)
	}
}

func TestFormatRefusals(t *testing.T) {
	for _, c := range []struct {
		name string
		r    Request
		want string
	}{
		{"no mode", Request{Node: dynamicNode(t)}, "Because controller.quorum.voters is not set on this controller, you must specify one of the following: --standalone, --initial-controllers, or --no-initial-controllers."},
		{"both", Request{Node: staticNode(t), Standalone: true}, "You cannot specify controller.quorum.voters and format the node with --initial-controllers or --standalone. If you want to use dynamic quorum, please remove controller.quorum.voters and specify controller.quorum.bootstrap.servers instead."},
		{"unknown feature", Request{Node: staticNode(t), Features: map[string]int16{"nonsense": 1}}, "Unsupported feature: nonsense. Supported features are: eligible.leader.replicas.version, group.version, kraft.version, share.version, streams.version, transaction.version, metadata.version"},
		{"unknown release", Request{Node: staticNode(t), Release: "9.9-IV0"}, "Unknown metadata.version '9.9-IV0'. Supported metadata.version are: 3.3-IV3 to 4.4-IV2"},
		{"level", Request{Node: staticNode(t), Features: map[string]int16{"group.version": 7}}, "No feature:group.version with feature level 7"},
		{"dependency", Request{Node: staticNode(t), Release: "3.9-IV0", Features: map[string]int16{"eligible.leader.replicas.version": 1}}, "eligible.leader.replicas.version could not be set to 1 because it depends on metadata.version level 23"},
	} {
		fs := vfs.NewMem()
		c.r.ClusterID, c.r.Out, c.r.Now = clusterID, discard{}, now
		if err := Format(fs, c.r); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, err := fs.Stat("/d1"); !vfs.IsNotExist(err) {
			t.Errorf("%s: something was written", c.name)
		}
	}
}

func TestSelfFormatOnlyWhenAloneAndEmpty(t *testing.T) {
	fs := vfs.NewMem()
	p, err := Prepare(fs, legacyNode(t), now, quiet())
	if err != nil || p.ClusterID == "" || p.MetadataDirectoryID == ([16]byte{}) || len(p.Bootstrap) != 6 {
		t.Fatalf("%+v, %v", p, err)
	}
	again, err := Prepare(fs, legacyNode(t), now, quiet())
	if err != nil || again.ClusterID != p.ClusterID || again.MetadataDirectoryID != p.MetadataDirectoryID {
		t.Fatalf("the second start found %+v, %v", again, err)
	}
	three := nodeOf(t, "process.roles=broker,controller", "node.id=1", "controller.quorum.voters=1@127.0.0.1:20993,2@127.0.0.1:20994,3@127.0.0.1:20995",
		"listeners=PLAINTEXT://127.0.0.1:20992,CONTROLLER://127.0.0.1:20993", "controller.listener.names=CONTROLLER", "log.dirs=/other")
	_, err = Prepare(fs, three, now, quiet())
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "kafka-storage format") {
		t.Fatal(err)
	}
	if _, err := fs.Stat("/other"); !vfs.IsNotExist(err) {
		t.Fatal("a refused start wrote something")
	}
}

// A directory with partitions that no metadata describes must survive every start as it is.
func TestPartitionsWithoutMetadataAreNeverFormatted(t *testing.T) {
	for name, meta := range map[string]string{
		"nothing":   "",
		"zookeeper": "version=0\nbroker.id=0\ncluster.id=" + clusterID + "\n",
		"kraft":     "version=1\nnode.id=0\ncluster.id=" + clusterID + "\ndirectory.id=jbxlJInyRnu6_IVaq3W68Q\n",
	} {
		fs := vfs.NewMem()
		touch(t, fs, "/d1/orders-0/00000000000000000000.log", "data")
		if meta != "" {
			touch(t, fs, "/d1/meta.properties", meta)
		}
		before := listing(t, fs, "/d1")
		_, err := Prepare(fs, legacyNode(t), now, quiet())
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "weir kafka-storage adopt") {
			t.Errorf("%s: %v", name, err)
		}
		if after := listing(t, fs, "/d1"); after != before {
			t.Errorf("%s: the directory was changed from %s to %s", name, before, after)
		}
	}
}

func listing(t *testing.T, fs vfs.FS, dir string) string {
	t.Helper()
	entries, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
		if e.IsDir {
			names = append(names, "("+listing(t, fs, filepath.Join(dir, e.Name))+")")
		}
	}
	return strings.Join(names, " ")
}

func TestContradictionsAreRefused(t *testing.T) {
	meta := func(node int, cluster, dir string) string {
		return fmt.Sprintf("version=1\nnode.id=%d\ncluster.id=%s\ndirectory.id=%s\n", node, cluster, dir)
	}
	for _, c := range []struct{ name, d1, d2, want string }{
		{"other node", meta(7, clusterID, "jbxlJInyRnu6_IVaq3W68Q"), "", "belongs to node 7"},
		{"two clusters", meta(1, clusterID, "jbxlJInyRnu6_IVaq3W68Q"), meta(1, "otherCluster", "apvHfjy2-fdOJaweasH63Q"), "belongs to cluster otherCluster"},
		{"a copy", meta(1, clusterID, "jbxlJInyRnu6_IVaq3W68Q"), meta(1, clusterID, "jbxlJInyRnu6_IVaq3W68Q"), "one is a copy of the other"},
	} {
		fs := vfs.NewMem()
		touch(t, fs, "/d1/meta.properties", c.d1)
		if c.d2 != "" {
			touch(t, fs, "/d2/meta.properties", c.d2)
		}
		if _, err := Prepare(fs, staticNode(t), now, quiet()); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestAdopt(t *testing.T) {
	fs := vfs.NewMem()
	touch(t, fs, "/d1/orders-0/partition.metadata", "version: 0\ntopic_id: apvHfjy2-fdOJaweasH63Q")
	touch(t, fs, "/d1/orders-0/leader-epoch-checkpoint", "0\n2\n0 0\n4 17\n")
	touch(t, fs, "/d1/orders-2/partition.metadata", "version: 0\ntopic_id: apvHfjy2-fdOJaweasH63Q")
	touch(t, fs, "/d1/__consumer_offsets-0/00000000000000000000.log", "")
	touch(t, fs, "/d1/lost+found/x", "")
	var out strings.Builder
	if err := Adopt(fs, legacyNode(t), &out, now); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "Adopted topic orders with 3 partitions, 1 of them empty because their folders are missing.\n") {
		t.Errorf("report %q", out.String())
	}
	p, err := Prepare(fs, legacyNode(t), now, quiet())
	if err != nil {
		t.Fatal(err)
	}
	entries, err := fs.List("/d1/__cluster_metadata-0")
	if err != nil {
		t.Fatal(err)
	}
	img := image.Empty()
	for _, e := range entries {
		if id, ok := quorum.ParseSnapshotName(e.Name); ok && id.EndOffset > 0 {
			snap, err := quorum.ReadSnapshot(fs, filepath.Join("/d1/__cluster_metadata-0", e.Name))
			if err != nil {
				t.Fatal(err)
			}
			var records []mr.Versioned
			for v, err := range snap.Records() {
				if err != nil {
					t.Fatal(err)
				}
				records = append(records, v)
			}
			if img, _, err = img.Apply(image.Provenance{Offset: id.EndOffset - 1, Epoch: id.Epoch}, records...); err != nil {
				t.Fatal(err)
			}
		}
	}
	orders := img.TopicByName("orders")
	if orders == nil || mr.FormatUUID(orders.ID) != "apvHfjy2-fdOJaweasH63Q" || len(orders.Partitions) != 3 {
		t.Fatalf("orders is %+v", orders)
	}
	if first := orders.Partitions[0]; first.LeaderEpoch != 5 || first.Leader != 0 || first.Directories[0] != p.MetadataDirectoryID {
		t.Errorf("partition 0 is %+v", first)
	}
	if got := img.Config(image.TopicConfig, "orders")["retention.ms"]; got != "-1" {
		t.Errorf("retention.ms=%q: a topic whose settings are not known must not lose records", got)
	}
	if got := img.Config(image.TopicConfig, "__consumer_offsets")["cleanup.policy"]; got != "compact" {
		t.Errorf("cleanup.policy=%q of the offsets", got)
	}
	if err := Adopt(fs, legacyNode(t), &out, now); !errors.Is(err, ErrRefused) {
		t.Error("a second adopt must be refused:", err)
	}
}

func TestInfo(t *testing.T) {
	fs := vfs.NewMem()
	var out strings.Builder
	ok, err := Info(fs, staticNode(t), &out)
	if want := "Found problems:\n  /d1 does not exist\n  /d2 does not exist\n\n"; ok || err != nil || out.String() != want {
		t.Errorf("%v %v %q", ok, err, out.String())
	}
	for _, d := range []string{"/d1", "/d2"} {
		id, _ := RandomUUID()
		if d == "/d1" {
			id, _ = mr.ParseUUID("jbxlJInyRnu6_IVaq3W68Q")
		}
		if err := fs.MkdirAll(d); err != nil {
			t.Fatal(err)
		}
		if err := log.WriteMetaProperties(fs, d, log.MetaProperties{Version: 1, ClusterID: clusterID, NodeID: 1, DirectoryID: id}, now); err != nil {
			t.Fatal(err)
		}
	}
	out.Reset()
	ok, err = Info(fs, staticNode(t), &out)
	want := "Found log directories:\n  /d1\n  /d2\n\nFound metadata: {cluster.id=" + clusterID + ", directory.id=jbxlJInyRnu6_IVaq3W68Q, node.id=1, version=1}\n\n"
	if !ok || err != nil || out.String() != want {
		t.Errorf("%v %v\n%s", ok, err, out.String())
	}
}

func TestParseScram(t *testing.T) {
	v, err := ParseScram(`SCRAM-SHA-256=[name=alice,password=alice-secret,iterations=8192,salt="MWx2NHBkbnc0ZndxN25vdGN4bTB5eTFrN3E="]`)
	if err != nil {
		t.Fatal(err)
	}
	r := v.Record.(*mr.UserScramCredentialRecord)
	if r.Name != "alice" || r.Mechanism != 1 || r.Iterations != 8192 || len(r.StoredKey) != 32 || len(r.ServerKey) != 32 {
		t.Errorf("%+v", r)
	}
	for _, bad := range []string{"", "SCRAM-SHA-1=[name=a,password=s3cret]", "SCRAM-SHA-256=name=a,password=s3cret", "SCRAM-SHA-512=[password=s3cret]",
		"SCRAM-SHA-512=[name=a]", "SCRAM-SHA-512=[name=a,password=s3cret,iterations=1]", "SCRAM-SHA-512=[name=a,password=s3cret,salt=%]", "SCRAM-SHA-512=[name=a,saltedpassword=s3cret]"} {
		if _, err := ParseScram(bad); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzParsePartition(f *testing.F) {
	f.Add("orders-0")
	f.Add("a-b-99999999999")
	f.Fuzz(func(t *testing.T, name string) {
		topic, p, ok := parsePartition(name)
		if ok && (p < 0 || topic == "") {
			t.Fatalf("%q is %q and %d", name, topic, p)
		}
	})
}

// What was formatted is formatted after a power cut too, in directories that were made for it.
func TestFormatSurvivesPowerCut(t *testing.T) {
	for seed := range uint64(20) {
		fs := vfs.NewMem()
		node := nodeOf(t, "process.roles=broker,controller", "node.id=1", "controller.quorum.voters=1@127.0.0.1:20993",
			"listeners=PLAINTEXT://127.0.0.1:20992,CONTROLLER://127.0.0.1:20993", "controller.listener.names=CONTROLLER", "log.dirs=/new/d1,/new/d2")
		if err := Format(fs, Request{Node: node, ClusterID: clusterID, Out: new(strings.Builder), Now: now}); err != nil {
			t.Fatal(err)
		}
		after := fs.Crash(rand.New(rand.NewPCG(seed, 1)))
		found, err := Inspect(after, node)
		if err != nil || !found.Formatted() {
			t.Fatalf("seed %d: %+v, %v", seed, found, err)
		}
		for _, d := range found.Directories {
			if !d.Formatted {
				t.Fatalf("seed %d: %s is not formatted", seed, d.Path)
			}
		}
	}
}
