package cli

import (
	"math/rand"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDumpLogDamaged damages the files of testdata/dumplog and compares what the two tools say about each. The words
// for contents that do not decompress are the libraries' own and not compared.
func TestDumpLogDamaged(t *testing.T) {
	dir := t.TempDir()
	o := startOracle(t, dir)
	random := rand.New(rand.NewSource(1))
	for _, c := range dumpLogCases(t) {
		if strings.HasPrefix(c.name, "error-") {
			continue
		}
		for range 20 {
			damageCase(t, random, dir, c)
			t.Run(c.name, func(t *testing.T) {
				t.Chdir(dir)
				// Kafka's tool goes second: it cuts broken indexes.
				got := sayLess(runTool(t, newDumpLog, "", c.args...).String())
				want := sayLess(o.run(t, "DumpLogSegments", c.args...).String())
				if printed, _, failed := strings.Cut(got, "# stderr:\n"+cannotDecompress); failed {
					got, want = printed, want[:min(len(printed), len(want))]
				}
				if diff := cmp.Diff(exceptSkipped(got, want)); diff != "" {
					t.Errorf("(-kafka +got):\n%s", diff)
				}
			})
		}
	}
}

// damageCase copies the files around those of a case to dir, with a few bytes of one of the case's files changed.
func damageCase(t *testing.T, random *rand.Rand, dir string, c dumpLogCase) {
	t.Helper()
	var files []string
	for i, arg := range c.args {
		if arg == "--files" {
			files = strings.Split(strings.TrimSuffix(c.args[i+1], ","), ",")
		}
	}
	for _, file := range files {
		all, err := filepath.Glob(filepath.Join("testdata/dumplog", filepath.Dir(file), "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range all {
			p, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Base(from) == filepath.Base(file) || random.Intn(4) == 0 && !strings.HasSuffix(from, ".log") {
				p = damage(random, p)
			}
			to := filepath.Join(dir, filepath.Dir(file), filepath.Base(from))
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(to, p, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func damage(random *rand.Rand, p []byte) []byte {
	if len(p) == 0 {
		return p
	}
	for range 1 + random.Intn(3) {
		at := random.Intn(len(p))
		switch random.Intn(5) {
		case 0:
			p = p[:at+1]
		case 1:
			p[at] = byte(random.Intn(256))
		case 2:
			p[at] ^= 1 << random.Intn(8)
		case 3:
			p = append(p[:at], p[min(len(p)-1, at+1+random.Intn(8)):]...)
		case 4:
			p = append(p, make([]byte, random.Intn(80))...)
		}
	}
	return p
}

// exceptSkipped is the lines of both outputs, cut where this tool says that it cannot decode a record's contents:
// Kafka's decoders overlook some damage in tagged fields.
func exceptSkipped(got, want string) (wantLines, gotLines []string) {
	wantLines, gotLines = strings.Split(want, "\n"), strings.Split(got, "\n")
	for i, line := range gotLines {
		if contents := firstContents.FindStringIndex(line); contents != nil && strings.HasSuffix(line, "skipping. …") && i < len(wantLines) {
			gotLines[i] = line[:contents[0]]
			wantLines[i] = wantLines[i][:min(contents[0], len(wantLines[i]))]
		}
	}
	return wantLines, gotLines
}

const cannotDecompress = "Exception: cannot decompress"

var (
	decompression = regexp.MustCompile(`(?m)^Exception in thread "main" (org\.apache\.kafka\.common\.KafkaException|java\.lang\.\w*Error).*$`)
	firstContents = regexp.MustCompile(` (key|payload): `)
	javasOwn      = regexp.MustCompile(`(?m)^Exception in thread "main" java\.(lang|nio)\..*$`)
	messageFault  = regexp.MustCompile(`(?m)(due to|Error at offset \d+, skipping\.|Error at \d+, skipping\.).*$`)
)

// sayLess takes out what the two tools say in words of their own.
func sayLess(s string) string {
	s = decompression.ReplaceAllString(s, cannotDecompress)
	s = javasOwn.ReplaceAllString(s, "Exception: not readable")
	return messageFault.ReplaceAllString(s, "$1 …")
}
