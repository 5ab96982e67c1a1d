package cli

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var recordGolden = flag.Bool("record", false, "run Apache Kafka's own tools and keep what they print as golden files")

// javaTools are the classes behind the tools.
var javaTools = map[string]string{
	"kafka-topics":           "org.apache.kafka.tools.TopicCommand",
	"kafka-configs":          "kafka.admin.ConfigCommand",
	"kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
	"kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
	"kafka-consumer-groups":  "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
	"kafka-groups":           "org.apache.kafka.tools.GroupsCommand",
	"kafka-get-offsets":      "org.apache.kafka.tools.GetOffsetShell",
	"kafka-delete-records":   "org.apache.kafka.tools.DeleteRecordsCommand",
	"kafka-acls":             "org.apache.kafka.tools.AclCommand",

	"kafka-delegation-tokens": "org.apache.kafka.tools.DelegationTokenCommand",
}

// TestClientToolsAgainstKafka runs testdata/clienttools/script against a fresh broker, in order, and compares each
// output with the golden file that Apache Kafka's own tool left in the same place (-record writes them anew). The
// broker is Apache Kafka's, from WEIR_KAFKA_DIST, or the empty one that WEIR_TOOLS_BOOTSTRAP names.
func TestClientToolsAgainstKafka(t *testing.T) {
	broker := os.Getenv("WEIR_TOOLS_BOOTSTRAP")
	if broker == "" {
		broker = startKafka(t)
	}
	s := &toolScript{broker: broker, dir: t.TempDir(), members: map[string]func(){}, data: "testdata/clienttools"}
	if *recordGolden {
		s.oracle = startOracle(t, s.dir)
	}
	s.play(t)
}

type toolScript struct {
	broker  string
	data    string // where the script and its golden files are
	dir     string
	oracle  *oracle
	members map[string]func()
	words   map[string][]string                          // what stands for more than one word of a command line, beside @B
	alike   func(text string) string                     // takes out what differs with the tool, if not nil
	lasting func(t *testing.T, command string, r result) // keeps what later cases need of a result, if not nil
	insert  map[string]string                            // what a result left for later command lines
}

// play runs the whole script.
func (s *toolScript) play(t *testing.T) {
	t.Cleanup(s.stopMembers)
	script, err := os.ReadFile(filepath.Join(s.data, "script"))
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(script), "\n\n") {
		s.block(t, strings.Split(strings.TrimSpace(block), "\n"))
	}
}

func (s *toolScript) stopMembers() {
	for _, leave := range s.members {
		leave()
	}
}

// block runs a paragraph of the script: comments, preparations ("file NAME CONTENT", "member …", "leave NAME", "transaction …") and
// at most one case: its name in brackets, its standard input, its command.
func (s *toolScript) block(t *testing.T, lines []string) {
	var name, stdin string
	for _, line := range lines {
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "" || word == "#":
		case word == "file":
			file, content, _ := strings.Cut(rest, " ")
			s.write(t, file, content)
		case word == "member":
			f := append(strings.Fields(rest), "", "", "")
			s.members[f[0]] = groupMember(t, s.broker, f[1], f[2], f[0], strings.TrimPrefix(f[4], "-"), f[3] == "consumer")
		case word == "transaction":
			f := strings.Fields(rest)
			transact(t, s.broker, f[0], f[1], f[2:])
		case word == "leave":
			s.members[rest]()
			delete(s.members, rest)
		case strings.HasPrefix(line, "["):
			name = strings.Trim(line, "[]")
		case word == "stdin":
			stdin = rest
		case word == "$":
			t.Run(name, func(t *testing.T) { s.compare(t, name, stdin, rest) })
		default:
			t.Fatalf("script: %q", line)
		}
	}
}

func (s *toolScript) write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(unescapeText(content)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func unescapeText(text string) string {
	return strings.NewReplacer(`\n`, "\n", `\t`, "\t").Replace(text)
}

// run runs the command with Kafka's tool or with ours and returns the case in the form of the golden files.
func (s *toolScript) run(t *testing.T, stdin, command string) string {
	t.Helper()
	words := splitWords(command)
	args := []string{}
	for _, w := range words[1:] {
		id, isID := strings.CutPrefix(w, "@ID:")
		switch {
		case w == "@B":
			args = append(args, "--bootstrap-server", s.broker)
		case isID:
			args = append(args, topicID(t, s.broker, id))
		case s.words[w] != nil:
			args = append(args, s.words[w]...)
		case s.insert[w] != "":
			args = append(args, s.insert[w])
		default:
			args = append(args, strings.ReplaceAll(w, "@DIR", s.dir))
		}
	}
	var r result
	if s.oracle != nil {
		class := javaTools[words[0]]
		if stdin != "" {
			class = "stdin=" + stdin + "\t" + class
		}
		r = s.oracle.runClass(t, class, args...)
	} else {
		tool, ok := findTool(words[0])
		if !ok {
			t.Fatalf("no tool %s", words[0])
		}
		r = runTool(t, tool.New, unescapeText(stdin), args...)
	}
	r.stderr = withoutTrace(r.stderr)
	if s.lasting != nil {
		s.lasting(t, command, r)
	}
	return s.normal("$ " + command + "\n" + map[bool]string{true: "# stdin: " + stdin + "\n"}[stdin != ""] + r.String())
}

// compare runs a case and holds it against its golden file. A query may have to wait until the broker has seen what
// the case before changed: Apache Kafka's answers a change before all of it is visible.
func (s *toolScript) compare(t *testing.T, name, stdin, command string) {
	got := s.run(t, stdin, command)
	file := filepath.Join(s.data, "golden", name+".txt")
	if s.oracle != nil && *recordGolden {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	query := strings.Contains(command, "--list") || strings.Contains(command, "--describe") || strings.HasPrefix(command, "kafka-get-offsets")
	for deadline := time.Now().Add(10 * time.Second); query && got != string(want) && time.Now().Before(deadline); {
		got = s.run(t, stdin, command)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("differs from Apache Kafka's tool (-Kafka +Weir):\n%s", diff)
	}
}

// splitWords splits as a shell does, as far as the script needs it: blanks, single quotes.
func splitWords(line string) (words []string) {
	var word strings.Builder
	quoted, inside := false, false
	for _, c := range line {
		switch {
		case c == '\'':
			quoted, inside = !quoted, true
		case c == ' ' && !quoted:
			if inside {
				words = append(words, word.String())
			}
			word.Reset()
			inside = false
		default:
			word.WriteRune(c)
			inside = true
		}
	}
	if inside {
		words = append(words, word.String())
	}
	return words
}

var volatileParts = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`(?ms)^Option( \(\* = required\))? +Description *\n.*?(^# |\z)`), "(usage)\n$2"},
	{regexp.MustCompile(`\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\]`), "[TIME]"},
	{regexp.MustCompile(`TopicId: \S{22}`), "TopicId: TTTTTTTTTTTTTTTTTTTTTT"},
	{regexp.MustCompile(`Time:\d{13}`), "Time:TTTTTTTTTTTTT"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UUUUUUUU-UUUU-UUUU-UUUU-UUUUUUUUUUUU"},
	{regexp.MustCompile(`[A-Za-z0-9+/_-]{22}== `), "MMMMMMMMMMMMMMMMMMMMMMMM "},
	{regexp.MustCompile(`127\.0\.0\.1:\d{5}`), "127.0.0.1:PPPPP"},
	{regexp.MustCompile(`log\.dirs=[^ ,}]+`), "log.dirs=@DATA"},
	{regexp.MustCompile(`adminclient-\d+`), "adminclient-N"},
	{regexp.MustCompile(`Valid states are: .*`), "Valid states are: (in any order)"},
	{regexp.MustCompile(`following scenarios: .*`), "following scenarios: (in any order)"},
	{regexp.MustCompile(`takes (one of these|the following) options: .*`), "takes $1 options: (in any order)"},
	{regexp.MustCompile(`SCRAM-SHA-(256|512)=iterations=4096, SCRAM-SHA-(256|512)=iterations=4096`), "(both SCRAM mechanisms in any order)"},
	{regexp.MustCompile(`InvalidRecordException: .*`), "InvalidRecordException: (franz-go does not hand on the reason)"},
	{regexp.MustCompile(`Option combination "\[.*\]" can't`), `Option combination (in any order) can't`},
	{regexp.MustCompile(`(?m)^(com\.fasterxml\..*| at \[Source: .*)\n`), ""}, // Kafka's search for the form of a CSV file
	{regexp.MustCompile(`(?m)^# stderr:\n# exit`), "# exit"},
	{regexp.MustCompile(`correlation id \d+`), "correlation id N"},
	{regexp.MustCompile(`console-consumer-\d+`), "console-consumer-N"},
	{regexp.MustCompile(`Exception: null\n`), "Exception\n"},
	{regexp.MustCompile(`"(\w+)Timestamp(Ms)?":\d{13}`), `"${1}Timestamp${2}":T`},
	{regexp.MustCompile(`"expireTimestamp":\d+`), `"expireTimestamp":T`},
	{regexp.MustCompile(`"topicId":"\S{22}"`), `"topicId":"TTTTTTTTTTTTTTTTTTTTTT"`},
}

// normal takes out what differs from run to run, keeping the widths of columns.
func (s *toolScript) normal(text string) string {
	_, port, _ := strings.Cut(s.broker, ":")
	text = strings.ReplaceAll(text, ":"+port, ":PPPPP")
	text = strings.ReplaceAll(text, s.dir, "@DIR")
	for _, v := range volatileParts {
		text = v.pattern.ReplaceAllString(text, v.with)
	}
	if s.alike != nil {
		text = s.alike(text)
	}
	return text
}

// runClass runs any class with a main method; "stdin=…" may stand before its name.
func (o *oracle) runClass(t testing.TB, class string, args ...string) result {
	t.Helper()
	fmt.Fprintln(o.in, strings.Join(append([]string{class}, args...), "\t"))
	return o.result(t)
}
