package cli

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// result is what a run of a tool left behind.
type result struct {
	exit           int
	stdout, stderr string
}

// String is a run in the form of the golden files.
func (r result) String() string {
	var b strings.Builder
	b.WriteString(r.stdout)
	if r.stderr != "" {
		b.WriteString("# stderr:\n" + r.stderr)
	}
	fmt.Fprintf(&b, "# exit: %d\n", r.exit)
	return b.String()
}

// runTool runs a tool of this package in the test's process.
func runTool(t testing.TB, tool func() Command, stdin string, args ...string) result {
	t.Helper()
	var out, errOut bytes.Buffer
	env := Env{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errOut}
	exit := Tool{New: tool}.Run(context.Background(), env, args)
	return result{exit, out.String(), errOut.String()}
}

// oracle runs the tools of a real Apache Kafka in one JVM, so that a whole table of runs takes seconds.
type oracle struct {
	in  io.WriteCloser
	out *bufio.Reader
}

// kafkaDist is the directory of a real Apache Kafka to compare with; the test is skipped if there is none.
func kafkaDist(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("WEIR_KAFKA_DIST")
	if dir == "" {
		t.Skip("WEIR_KAFKA_DIST names no Apache Kafka")
	}
	return dir
}

// startOracle starts the JVM in a directory; it ends with the test.
func startOracle(t testing.TB, dir string) *oracle {
	t.Helper()
	dist := kafkaDist(t)
	source, err := filepath.Abs("testdata/ToolOracle.java")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("java", "-Xmx256M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8",
		"-Dlog4j2.configurationFile="+filepath.Join(filepath.Dir(source), "tools-log4j2.properties"), "-cp", filepath.Join(dist, "libs/*"), source)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("tool oracle: %v", err)
		}
	})
	return &oracle{in, bufio.NewReader(out)}
}

// run runs a class of org.apache.kafka.tools.
func (o *oracle) run(t testing.TB, class string, args ...string) result {
	t.Helper()
	return o.runClass(t, "org.apache.kafka.tools."+class, args...)
}

// result reads what the run that was asked for left behind.
func (o *oracle) result(t testing.TB) result {
	t.Helper()
	var r result
	var outLen, errLen int
	if _, err := fmt.Fscanf(o.out, "%d %d %d\n", &r.exit, &outLen, &errLen); err != nil {
		t.Fatalf("tool oracle: %v", err)
	}
	p := make([]byte, outLen+errLen)
	if _, err := io.ReadFull(o.out, p); err != nil {
		t.Fatalf("tool oracle: %v", err)
	}
	r.stdout, r.stderr = string(p[:outLen]), withoutTrace(string(p[outLen:]))
	return r
}

var traceLine = regexp.MustCompile(`(?m)^(\tat |\t\.\.\. |Caused by: ).*\n`)

// withoutTrace drops the stack frames and causes of Java's exceptions, which this project's tools do not print.
func withoutTrace(s string) string { return traceLine.ReplaceAllString(s, "") }
