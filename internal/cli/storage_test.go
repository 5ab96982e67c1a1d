package cli

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The texts are what Apache Kafka's kafka-storage prints for the same command lines.
func TestStorageTool(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "data1"), filepath.Join(dir, "data2")
	file := writeFile(t, "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.bootstrap.servers=localhost:9093\n"+
		"listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\ncontroller.listener.names=CONTROLLER\nlog.dirs="+one+","+two)
	const cluster = "kXbsFcGxQcWy9XzurXHdmQ"
	bootstrap := "Bootstrap metadata: BootstrapMetadata(records=["
	for i, f := range []string{"metadata.version=30", "eligible.leader.replicas.version=1", "group.version=1", "share.version=1", "streams.version=1", "transaction.version=2"} {
		name, level, _ := strings.Cut(f, "=")
		if i > 0 {
			bootstrap += ", "
		}
		bootstrap += fmt.Sprintf("ApiMessageAndVersion(FeatureLevelRecord(name='%s', featureLevel=%s) at version 0)", name, level)
	}
	bootstrap += "], metadataVersionLevel=30, source=format command)\n"
	for _, c := range []struct {
		args, stdout, stderr string
		code                 int
	}{
		{"info -c " + file, "Found problems:\n  " + one + " does not exist\n  " + two + " does not exist\n\n", "", 1},
		{"format -t " + cluster + " -c " + file, "", "Because controller.quorum.voters is not set on this controller, you must specify one of the following: --standalone, --initial-controllers, or --no-initial-controllers.\n", 1},
		{"format --standalone -t " + cluster + " -c " + file, bootstrap +
			"Formatting dynamic metadata voter directory " + one + " with metadata.version 4.3-IV0.\nFormatting data directory " + two + " with metadata.version 4.3-IV0.\n", "", 0},
		{"format --standalone -t " + cluster + " -c " + file, "", "Log directory " + one + " is already formatted. Use --ignore-formatted to ignore this directory and format the others.\n", 1},
		{"format --standalone -g -t " + cluster + " -c " + file, "All of the log directories are already formatted.\n", "", 0},
		{"info -c " + file, "Found log directories:\n  " + one + "\n  " + two + "\n\nFound metadata: {cluster.id=" + cluster + ", directory.id=ID, node.id=1, version=1}\n\n", "", 0},
		{"version-mapping --release-version 3.9-IV0", "metadata.version=21 (3.9-IV0)\nkraft.version=1\ntransaction.version=0\ngroup.version=0\neligible.leader.replicas.version=0\nshare.version=0\nstreams.version=0\n", "", 0},
		{"version-mapping", "metadata.version=30 (4.3-IV0)\nkraft.version=1\ntransaction.version=2\ngroup.version=1\neligible.leader.replicas.version=1\nshare.version=1\nstreams.version=1\n", "", 0},
		{"version-mapping -r 4.0", "metadata.version=25 (4.0)\nkraft.version=1\ntransaction.version=2\ngroup.version=1\neligible.leader.replicas.version=0\nshare.version=0\nstreams.version=0\n", "", 0},
		{"feature-dependencies --feature transaction.version=2", "transaction.version=2 has no dependencies.\n", "", 0},
		{"feature-dependencies --feature eligible.leader.replicas.version=1 --feature group.version=1",
			"eligible.leader.replicas.version=1 requires:\n    metadata.version=23 (4.0-IV1)\ngroup.version=1 has no dependencies.\n", "", 0},
		{"feature-dependencies --feature x", "", "Invalid feature format: x. Expected format: 'feature=version' (e.g. 'group.version=1')\n", 1},
		{"feature-dependencies --feature kraft.version=9", "", "Feature level 9 is not supported for feature kraft.version\n", 1},
		{"feature-dependencies --feature no.such=1", "", "Unknown feature: no.such\n", 1},
	} {
		stdout, stderr, code := runCommand(t, newStorageTool(), strings.Fields(c.args)...)
		stdout = regexp.MustCompile(`directory\.id=[^,]*`).ReplaceAllString(stdout, "directory.id=ID")
		if stdout != c.stdout || stderr != c.stderr || code != c.code {
			t.Errorf("%s\ncode %d, want %d\nstdout %q\n  want %q\nstderr %q\n  want %q", c.args, code, c.code, stdout, c.stdout, stderr, c.stderr)
		}
	}
	stdout, _, code := runCommand(t, newStorageTool(), "random-uuid")
	if ok, _ := regexp.MatchString(`^[A-Za-z0-9_][A-Za-z0-9_-]{21}\n$`, stdout); !ok || code != 0 {
		t.Errorf("random-uuid: %q", stdout)
	}
}

func TestStorageToolNamesWhatIsWrong(t *testing.T) {
	file := writeFile(t, "num.partitions=x")
	for args, want := range map[string]string{
		"info -c " + file:  "Invalid value x for configuration num.partitions",
		"info -c /no/such": "Cannot read the properties file",
		"format -c " + file + " -t x --initial-controllers y": "num.partitions",
	} {
		if _, stderr, code := runCommand(t, newStorageTool(), strings.Fields(args)...); code != 1 || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: code %d, %q", args, code, stderr)
		}
	}
}

func TestInitialControllers(t *testing.T) {
	const dir = "kXbsFcGxQcWy9XzurXHdmQ"
	got, err := parseInitialControllers("1@a:9093:" + dir + ",2@[::1]:9094:" + dir)
	if err != nil || len(got) != 2 || got[0].Host != "a" || got[1].Host != "::1" || got[1].Port != 9094 || got[1].ID != 2 {
		t.Errorf("%+v %v", got, err)
	}
	for in, want := range map[string]string{
		"x": "No @", "x@a:1:" + dir: "node id", "1@a": "hostname", "1@a:9": "after port", "1@a:b:" + dir: "port", "1@a:9:zz": "directory ID",
		"1@a:9:" + dir + ",1@b:9:" + dir: "twice",
	} {
		if _, err := parseInitialControllers(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", in, err)
		}
	}
}
