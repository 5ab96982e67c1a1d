// Package kafkadist assembles a runnable Apache Kafka of a pinned version from
// its published Maven artifacts and keeps it in the user's cache folder, for
// comparisons and for clusters that run Apache Kafka as their engine. It starts
// no broker and knows nothing of Weir; it needs java and mvn on the PATH.
package kafkadist

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// The pinned versions: the one Weir is compared with, and the release that many
// old tutorials speak of, whose clients and tools must go on working.
const (
	Current = "4.3.1"
	Old     = "2.5.0"
)

// scala is the Scala version in the broker's artifact name.
const scala = "2.13"

// ErrMissing is wrapped when java or mvn is not installed.
var ErrMissing = errors.New("not installed")

// layout names the content of an assembled tree. It changes with the files that
// this package writes, so that an older tree is not taken for a current one.
const layout = "1"

var versionPattern = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+$`)

// Dist is an assembled Apache Kafka on disk. It is immutable and safe for
// concurrent use.
type Dist struct {
	Dir     string // holds bin, config and libs
	Version string
}

// Ensure returns the Apache Kafka of a version, assembling it in the user's
// cache folder when it is not there yet. Maven's progress goes to out. Two
// callers may do so at once; the first to finish wins.
func Ensure(ctx context.Context, version string, out io.Writer) (*Dist, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("kafka %s: %w", version, err)
	}
	return EnsureIn(ctx, filepath.Join(cache, "weir", "kafka"), version, out)
}

// EnsureIn is Ensure with the cache folder chosen by the caller.
func EnsureIn(ctx context.Context, cache, version string, out io.Writer) (*Dist, error) {
	if !versionPattern.MatchString(version) {
		return nil, fmt.Errorf("kafka version %q: want three numbers, such as %s", version, Current)
	}
	if err := need("java"); err != nil {
		return nil, fmt.Errorf("kafka %s: %w", version, err)
	}
	d := &Dist{Dir: filepath.Join(cache, version+"-"+layout), Version: version}
	if d.complete() {
		return d, nil
	}
	if err := need("mvn"); err != nil {
		return nil, fmt.Errorf("kafka %s: %w", version, err)
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, fmt.Errorf("kafka %s: %w", version, err)
	}
	tmp, err := os.MkdirTemp(cache, version+"-building-")
	if err != nil {
		return nil, fmt.Errorf("kafka %s: %w", version, err)
	}
	defer os.RemoveAll(tmp)
	if err := assemble(ctx, tmp, version, out); err != nil {
		return nil, fmt.Errorf("kafka %s: %w", version, err)
	}
	if err := os.Rename(tmp, d.Dir); err != nil && !d.complete() {
		return nil, fmt.Errorf("kafka %s: %w", version, err)
	}
	return d, nil
}

// Assembled lists the versions that lie whole in a cache folder.
func Assembled(cache string) []string {
	entries, err := os.ReadDir(cache)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		version, ok := strings.CutSuffix(e.Name(), "-"+layout)
		if d := (&Dist{Dir: filepath.Join(cache, e.Name()), Version: version}); ok && d.complete() {
			out = append(out, version)
		}
	}
	return out
}

func need(command string) error {
	if _, err := exec.LookPath(command); err != nil {
		return fmt.Errorf("%s: %w", command, ErrMissing)
	}
	return nil
}

// complete says whether the tree was assembled to its end: VERSION is written
// last.
func (d *Dist) complete() bool {
	text, err := os.ReadFile(filepath.Join(d.Dir, "VERSION"))
	return err == nil && strings.TrimSpace(string(text)) == d.Version
}

// Bin is the path of a script by its name without the suffix, for example
// "kafka-topics".
func (d *Dist) Bin(name string) string { return filepath.Join(d.Dir, "bin", name+".sh") }

// Has says whether this version comes with a tool.
func (d *Dist) Has(name string) bool {
	_, err := os.Stat(d.Bin(name))
	return err == nil
}

// Command prepares a tool of the distribution; its process is the JVM itself,
// so that the process id in the result is the one to signal or to measure.
func (d *Dist) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, d.Bin(name), args...)
}
