package kafkadist

import (
	"archive/zip"
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed files
var files embed.FS

// copyPlugin is pinned: an unpinned plugin changes under a build.
const copyPlugin = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"

// modern says whether a version logs through log4j 2 and has the tools under
// org.apache.kafka.tools.
func modern(version string) bool {
	major, _, _ := strings.Cut(version, ".")
	return len(major) > 1 || major >= "4"
}

// pom lists what to copy: the broker with its dependencies, the tools, and one
// binding for slf4j that prints warnings to standard error.
func pom(version string) string {
	var b strings.Builder
	dep := func(group, artifact, version string) {
		fmt.Fprintf(&b, "    <dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>\n", group, artifact, version)
	}
	b.WriteString(`<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>kafka-dist</artifactId><version>1</version>
  <packaging>pom</packaging>
  <dependencies>
`)
	dep("org.apache.kafka", "kafka_"+scala, version)
	dep("org.apache.kafka", "kafka-tools", version)
	dep("org.apache.kafka", "kafka-clients", version)
	if modern(version) {
		dep("org.apache.kafka", "kafka-shell", version)
		dep("org.apache.logging.log4j", "log4j-slf4j-impl", "2.24.3")
		dep("org.apache.logging.log4j", "log4j-core", "2.24.3")
		dep("org.apache.logging.log4j", "log4j-1.2-api", "2.24.3")
	} else {
		dep("org.slf4j", "slf4j-reload4j", "1.7.36")
		dep("ch.qos.reload4j", "reload4j", "1.2.25")
	}
	b.WriteString("  </dependencies>\n</project>\n")
	return b.String()
}

// unwanted are jars that would bring a second binding for slf4j, which prints a
// warning at each start.
func unwanted(version, jar string) bool {
	if modern(version) {
		return strings.HasPrefix(jar, "slf4j-reload4j-") || strings.HasPrefix(jar, "reload4j-")
	}
	return strings.HasPrefix(jar, "slf4j-log4j12-") || strings.HasPrefix(jar, "log4j-1.2.")
}

func assemble(ctx context.Context, dir, version string, out io.Writer) error {
	pomFile := filepath.Join(dir, "pom.xml")
	if err := os.WriteFile(pomFile, []byte(pom(version)), 0o644); err != nil {
		return err
	}
	libs := filepath.Join(dir, "libs")
	fmt.Fprintf(out, "assembling Apache Kafka %s with Maven\n", version)
	var stderr bytes.Buffer
	mvn := exec.CommandContext(ctx, "mvn", "-q", "-B", "-f", pomFile, copyPlugin, "-DoutputDirectory="+libs, "-DincludeScope=runtime")
	mvn.Stdout, mvn.Stderr = io.MultiWriter(out, &stderr), io.MultiWriter(out, &stderr)
	if err := mvn.Run(); err != nil {
		return fmt.Errorf("mvn: %w: %s", err, lastLines(stderr.String(), 5))
	}
	classes, err := prune(libs, version)
	if err != nil {
		return err
	}
	if err := writeFiles(dir, version); err != nil {
		return err
	}
	if err := writeTools(filepath.Join(dir, "bin"), classes); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "VERSION"), []byte(version+"\n"), 0o644)
}

// prune removes unwanted jars and returns the classes of Kafka's own.
func prune(libs, version string) (map[string]bool, error) {
	entries, err := os.ReadDir(libs)
	if err != nil {
		return nil, err
	}
	classes := map[string]bool{}
	for _, e := range entries {
		path := filepath.Join(libs, e.Name())
		if unwanted(version, e.Name()) {
			if err := os.Remove(path); err != nil {
				return nil, err
			}
			continue
		}
		if !strings.HasPrefix(e.Name(), "kafka") && !strings.HasPrefix(e.Name(), "connect") {
			continue
		}
		if err := readClasses(path, classes); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	if !classes["kafka.Kafka"] {
		return nil, errors.New("maven brought no broker: kafka.Kafka is in no jar")
	}
	return classes, nil
}

func readClasses(jar string, into map[string]bool) error {
	z, err := zip.OpenReader(jar)
	if err != nil {
		return err
	}
	defer z.Close()
	for _, f := range z.File {
		if name, ok := strings.CutSuffix(f.Name, ".class"); ok {
			into[strings.ReplaceAll(name, "/", ".")] = true
		}
	}
	return nil
}

func writeFiles(dir, version string) error {
	for _, sub := range []string{"bin", "config"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	config := []string{"log4j.properties", "tools-log4j.properties"}
	if modern(version) {
		config = []string{"log4j2.properties", "tools-log4j2.properties"}
	}
	for _, name := range config {
		if err := writeFile(filepath.Join(dir, "config", name), "files/"+name, 0o644); err != nil {
			return err
		}
	}
	for _, name := range []string{"kafka-run-class.sh", "kafka-server-start.sh"} {
		if err := writeFile(filepath.Join(dir, "bin", name), "files/"+name, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(path, embedded string, mode os.FileMode) error {
	text, err := files.ReadFile(embedded)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, mode)
}

// writeTools writes one script per tool, for the first class of its list that
// this version has.
func writeTools(bin string, classes map[string]bool) error {
	for _, t := range tools {
		for _, class := range t.classes {
			if !classes[class] {
				continue
			}
			text := fmt.Sprintf("#!/usr/bin/env bash\nexport KAFKA_HEAP_OPTS=${KAFKA_HEAP_OPTS:-%s}\nexec \"$(dirname \"$(readlink -f \"${BASH_SOURCE[0]}\")\")/kafka-run-class.sh\" %s \"$@\"\n", t.heap, class)
			if err := os.WriteFile(filepath.Join(bin, t.name+".sh"), []byte(text), 0o755); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
