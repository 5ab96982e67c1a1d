package apachekafka

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/weir-stream/weir/internal/controlplane/certs"
	"github.com/weir-stream/weir/internal/controlplane/engine"
)

// Two thirds of a broker's start is the JVM reading and checking some nine
// thousand classes. It keeps what it made of them in a file, an archive of
// class data (JEP 350), and brokers that start with it are there in a third of
// the time. The archive belongs to one JVM and one set of jars, which the JVM
// checks itself: one that does not fit is passed over.

// archiveTime bounds the making of an archive.
const archiveTime = 90 * time.Second

// archive returns the file of class data for an installation, and makes it the
// first time by running a node that is thrown away. It returns "" where that
// does not work: brokers start without, only slower.
func (i *installation) ensureArchive(ctx context.Context, cache, version string, progress io.Writer) string {
	file := filepath.Join(cache, "kafka-"+version+"-"+i.fingerprint()+".jsa")
	if exists(file) {
		return file
	}
	if exists(file + ".failed") {
		return ""
	}
	fmt.Fprintf(progress, "preparing quick starts of Apache Kafka %s, once on this machine\n", version)
	err := os.MkdirAll(cache, 0o755)
	if err == nil {
		err = i.makeArchive(ctx, cache, file)
	}
	if err == nil {
		return file
	}
	if ctx.Err() == nil {
		fmt.Fprintf(progress, "Apache Kafka starts without class data, which takes longer: %v\n", err)
		if err := os.WriteFile(file+".failed", []byte(err.Error()+"\n"), 0o600); err != nil {
			fmt.Fprintln(progress, err) // tried again with the next start
		}
	}
	return ""
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// fingerprint changes with the JVM and with the folder of the distribution.
func (i *installation) fingerprint() string {
	h := sha256.New()
	java, err := exec.LookPath(i.java)
	if err == nil {
		java, err = filepath.EvalSymlinks(java)
	}
	fmt.Fprintln(h, i.dist, java, err)
	for _, f := range []string{java, filepath.Join(i.dist, "libs")} {
		if st, err := os.Stat(f); err == nil {
			fmt.Fprintln(h, st.Size(), st.ModTime().UnixNano())
		}
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:9])
}

func (i *installation) makeArchive(ctx context.Context, cache, file string) error {
	ctx, cancel := context.WithTimeout(ctx, archiveTime)
	defer cancel()
	dir, err := os.MkdirTemp(cache, "making-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := i.writeSample(dir); err != nil {
		return err
	}
	made := filepath.Join(dir, "classes.jsa")
	cmd := exec.CommandContext(ctx, i.java, append(tuning(smallMemory), "-Xmx256m", "-Djava.awt.headless=true", "-XX:ArchiveClassesAtExit="+made,
		"-Dkafka.logs.dir="+dir, "-Dlog4j2.configurationFile="+filepath.Join(dir, "log4j2.properties"),
		"-cp", filepath.Join(i.dist, "libs", "*"), "kafka.Kafka", filepath.Join(dir, engine.PropertiesFile))...)
	cmd.Env, cmd.Dir = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LANG=C.UTF-8"}, dir
	if err := runUntilStarted(cmd); err != nil {
		return err
	}
	if !exists(made) {
		return errors.New("the JVM wrote no archive")
	}
	return os.Rename(made, file)
}

// started is in the line that a node logs when it serves.
const started = "Kafka Server started"

// runUntilStarted runs a node until it serves, and ends it in order.
func runUntilStarted(cmd *exec.Cmd) error {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return err
	}
	serves, last := false, ""
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if last = lines.Text(); !serves && strings.Contains(last, started) {
			serves = true
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				return errors.Join(err, cmd.Wait())
			}
		}
	}
	err = errors.Join(lines.Err(), cmd.Wait())
	// A JVM that was told to end says so with its exit code.
	if exit := (*exec.ExitError)(nil); serves && errors.As(err, &exit) && exit.ExitCode() == 128+int(syscall.SIGTERM) {
		return nil
	}
	if err == nil && !serves {
		err = errors.New("the node ended by itself")
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, last)
	}
	return nil
}

// writeSample writes the files of a node that is secured by nothing and serves
// nobody: it listens on the loopback address and holds nothing.
func (i *installation) writeSample(dir string) error {
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	props := plainNode(data)
	props["listeners"] = fmt.Sprintf("PLAINTEXT://%s,CONTROLLER://%s", engine.Address(ports[0]), engine.Address(ports[1]))
	props["controller.quorum.voters"] = "1@" + engine.Address(ports[1])
	props["authorizer.class.name"] = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
	props["super.users"] = "User:ANONYMOUS"
	props["log.cleaner.dedupe.buffer.size"] = "4194304"
	id := make([]byte, 16)
	rand.Read(id) // never fails
	for name, text := range map[string][]byte{
		engine.PropertiesFile: engine.FormatProperties(props),
		"log4j2.properties":   []byte(toConsole),
		"data/meta.properties": engine.FormatProperties(map[string]string{"version": "1", "node.id": "1",
			"cluster.id": base64.RawURLEncoding.EncodeToString(id), "directory.id": base64.RawURLEncoding.EncodeToString(id)}),
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			return err
		}
		if err := certs.WritePrivate(filepath.Join(dir, name), text); err != nil {
			return err
		}
	}
	return nil
}

// freePorts are free now; somebody may take them before they are used, and
// then there is no archive this time.
func freePorts(n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// toConsole is how the node that is thrown away logs.
const toConsole = `status = error
appender.out.type = Console
appender.out.name = OUT
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %m%n
rootLogger.level = info
rootLogger.appenderRef.out.ref = OUT
`
