package kafkaflag

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"

	"slices"
	"strings"
	"testing"
)

type joptFlags struct {
	set                                   *Set
	list, topic, partitions, state, props *Flag
}

func newJopt() *joptFlags {
	s := New("kafka-example", "An example.", Jopt)
	return &joptFlags{
		set:        s,
		list:       s.Switch("list", "List."),
		topic:      s.String("topic", "topic", "The topic."),
		partitions: s.Int("partitions", "# of partitions", "How many.", Default("7")),
		state:      s.String("state", "", "The state.", OptionalArg()),
		props:      s.String("property", "prop", "A setting.", Repeatable()),
	}
}

func TestJoptReadsFlagsAsKafkaDoes(t *testing.T) {
	for _, c := range []struct {
		args  string
		check func(f *joptFlags) bool
	}{
		{"--topic a", func(f *joptFlags) bool { return f.topic.Present() && f.topic.Value() == "a" }},
		{"--topic=a=b", func(f *joptFlags) bool { return f.topic.Value() == "a=b" }},
		{"--topic=", func(f *joptFlags) bool { return f.topic.HasValue() && f.topic.Value() == "" }},
		{"-topic a", func(f *joptFlags) bool { return f.topic.Value() == "a" }},
		{"--topic --list", func(f *joptFlags) bool { return f.topic.Value() == "--list" && !f.list.Present() }},
		{"--partitions -1", func(f *joptFlags) bool { return f.partitions.Int64() == -1 }},
		{"--list", func(f *joptFlags) bool {
			return f.list.Present() && !f.partitions.Present() && f.partitions.Int64() == 7
		}},
		{"--state", func(f *joptFlags) bool { return f.state.Present() && !f.state.HasValue() }},
		{"--state Empty", func(f *joptFlags) bool { return f.state.Value() == "Empty" }},
		{"--state --list", func(f *joptFlags) bool { return !f.state.HasValue() && f.list.Present() }},
		{"--property a=b --property c=d", func(f *joptFlags) bool { return slices.Equal(f.props.Values(), []string{"a=b", "c=d"}) }},
		{"x --list y", func(f *joptFlags) bool { return slices.Equal(f.set.Args(), []string{"x", "y"}) }},
		{"--list -- --topic", func(f *joptFlags) bool { return slices.Equal(f.set.Args(), []string{"--topic"}) }},
	} {
		f := newJopt()
		if err := f.set.Parse(strings.Fields(c.args)); err != nil || !c.check(f) {
			t.Errorf("%s: %v, topic %q state %q partitions %q args %q", c.args, err, f.topic.values, f.state.values, f.partitions.values, f.set.rest)
		}
	}
}

func TestJoptRefusesInKafkasWords(t *testing.T) {
	for args, want := range map[string]string{
		"--nosuch":                  "nosuch is not a recognized option",
		"--lis":                     "lis is not a recognized option",
		"-x":                        "x is not a recognized option",
		"--topic":                   "Option topic requires an argument",
		"--topic a --topic b":       "Found multiple arguments for option topic, but you asked for only one",
		"--partitions many":         "Cannot parse argument 'many' of option partitions",
		"--partitions 3000000000":   "Cannot parse argument '3000000000' of option partitions",
		"--old 1":                   "old is not a recognized option: it was removed; use --topic",
		"--old=1":                   "old is not a recognized option: it was removed; use --topic",
		"--list --nosuch --topic a": "nosuch is not a recognized option",
	} {
		f := newJopt()
		f.set.Removed("old", "it was removed; use --topic")
		err := f.set.Parse(strings.Fields(args))
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
		if code := Report(&bytes.Buffer{}, &bytes.Buffer{}, err); code != 1 {
			t.Errorf("%s: exit code %d", args, code)
		}
	}
}

func TestJoptWithoutFlagsPrintsHelp(t *testing.T) {
	var out, errOut bytes.Buffer
	err := newJopt().set.Parse(nil)
	if code := Report(&out, &errOut, err); code != 1 || out.Len() > 0 || !strings.HasPrefix(errOut.String(), "An example.\nOption ") {
		t.Errorf("exit %d, stdout %q, stderr %q", code, out.String(), errOut.String())
	}
}

func TestVersionIsThatOfKafkasTools(t *testing.T) {
	var out bytes.Buffer
	if code := Report(&out, &bytes.Buffer{}, newJopt().set.Parse([]string{"--version"})); code != 0 || out.String() != KafkaVersion+"\n" {
		t.Errorf("exit %d: %q", code, out.String())
	}
}

func TestRequiredFlagsOfJopt(t *testing.T) {
	f := newJopt()
	f.topic.Required = true
	err := f.set.Parse([]string{"--list"})
	if err == nil || err.Error() != "Missing required option(s) [topic]" {
		t.Errorf("error %v", err)
	}
	var out bytes.Buffer
	f.set.WriteUsage(&out)
	if !strings.HasPrefix(out.String(), "Option (* = required)") || !strings.Contains(out.String(), "* --topic <String: topic>") {
		t.Error(out.String())
	}
}

func TestValuesLaterLeavesThemToTheTool(t *testing.T) {
	f := newJopt()
	f.set.ValuesLater = true
	var misread *OptionError
	if err := f.set.Parse([]string{"--partitions", "x"}); err != nil || !errors.As(f.set.CheckValues(), &misread) {
		t.Errorf("%v, %v", err, f.set.CheckValues())
	}
}

func TestChecks(t *testing.T) {
	for _, c := range []struct {
		args, want string
		check      func(f *joptFlags) error
	}{
		{"--list", `Missing required argument "[topic]"`, func(f *joptFlags) error { return f.set.CheckRequired(f.list, f.topic) }},
		{"--list --topic a", `Option "[list]" can't be used with option "[topic]"`, func(f *joptFlags) error { return f.set.CheckInvalid(f.list, f.list, f.topic) }},
		{"--topic a", "", func(f *joptFlags) error { return f.set.CheckInvalid(f.list, f.topic) }},
		{"--list", "", func(f *joptFlags) error { return f.set.CheckOneOf(f.list, f.topic) }},
		{"--list --topic a", "Exactly one of the following arguments is required: [list], [topic]", func(f *joptFlags) error { return f.set.CheckOneOf(f.list, f.topic) }},
		{"--property x", "Exactly one of the following arguments is required: [list], [topic]", func(f *joptFlags) error { return f.set.CheckOneOf(f.list, f.topic) }},
		{"--list --topic a --state", `Option combination "[[list], [topic]]" can't be used with option "[state]"`,
			func(f *joptFlags) error {
				return f.set.CheckInvalidTogether([]*Flag{f.list, f.topic}, []*Flag{f.state})
			}},
		{"--list --state", "", func(f *joptFlags) error {
			return f.set.CheckInvalidTogether([]*Flag{f.list, f.topic}, []*Flag{f.state})
		}},
	} {
		f := newJopt()
		if err := f.set.Parse(strings.Fields(c.args)); err != nil {
			t.Fatal(err)
		}
		err := c.check(f)
		if got := errorText(err); got != c.want {
			t.Errorf("%s: %q, want %q", c.args, got, c.want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestKeyValues(t *testing.T) {
	got, err := KeyValues([]string{"a=b=c", "d", "", "e="}, true)
	if err != nil || !slices.Equal(got, [][2]string{{"a", "b=c"}, {"d", ""}, {"e", ""}}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := KeyValues([]string{"a"}, false); err == nil {
		t.Error("no error for a missing value")
	}
}

func TestUsageWrapsAsKafkas(t *testing.T) {
	s := New("kafka-example", "", Jopt)
	s.String("bootstrap-server", "server to connect to", "REQUIRED: The Kafka server to connect to.")
	var out bytes.Buffer
	s.WriteUsage(&out)
	want := "Option                                   Description                            \n" +
		"------                                   -----------                            \n" +
		"--bootstrap-server <String: server to    REQUIRED: The Kafka server to connect  \n" +
		"  connect to>                              to.                                  \n"
	if !strings.HasPrefix(out.String(), want) {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func newArgparse() (s, sub *Set, props, id, a, b *Flag) {
	s = New("kafka-cluster", "The cluster tool.", Argparse)
	sub = s.Sub("unregister", "Take a broker out.")
	id = sub.Int("id", "ID", "the broker", Short('i'), Required())
	props = sub.String("producer-props", "PROP", "settings", Many())
	a, b = sub.String("server", "S", "brokers"), sub.String("controller", "C", "controllers")
	sub.Exclusive(true, a, b)
	return s, sub, props, id, a, b
}

func TestArgparse(t *testing.T) {
	for args, want := range map[string]string{
		"":                      "too few arguments",
		"bogus":                 "invalid choice: 'bogus' (choose from 'unregister')",
		"unregister --server x": "argument -i/--id is required",
		"unregister -i 1":       "one of the arguments --server --controller is required",
		"unregister -i 1 --server x --controller y":             "argument --controller: not allowed with argument --server",
		"unregister -i one":                                     "argument -i/--id: could not convert 'one' to Integer",
		"unregister -i":                                         "argument -i/--id: expected one argument",
		"unregister --nosuch":                                   "unrecognized arguments: '--nosuch'",
		"unregister -i 1 --server x y":                          "unrecognized arguments: 'y'",
		"unregister -i1 --server=x":                             "",
		"unregister --id 1 --server x --producer-props a=b c=d": "",
	} {
		s, sub, props, id, _, _ := newArgparse()
		err := s.Parse(strings.Fields(args))
		if errorText(err) != want {
			t.Errorf("%s: %q, want %q", args, errorText(err), want)
		}
		if err == nil && (s.Chosen() != sub || id.Int64() != 1) {
			t.Errorf("%s: chosen %v, id %d", args, s.Chosen(), id.Int64())
		}
		if strings.Contains(args, "c=d") && !slices.Equal(props.Values(), []string{"a=b", "c=d"}) {
			t.Errorf("%s: %q", args, props.Values())
		}
	}
}

func TestArgparseHelpGoesToStandardOutput(t *testing.T) {
	s, _, _, _, _, _ := newArgparse()
	var out, errOut bytes.Buffer
	if code := Report(&out, &errOut, s.Parse([]string{"unregister", "--help"})); code != 0 || errOut.Len() > 0 {
		t.Errorf("exit %d, stderr %q", code, errOut.String())
	}
	for _, want := range []string{"usage: kafka-cluster unregister [-h] -i ID", "(--server S | --controller C)", "-i ID, --id ID"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestCommandCompletesFlags(t *testing.T) {
	f := newJopt()
	var out bytes.Buffer
	cmd := f.set.Command(true, func([]string) error { return nil })
	cmd.SetOut(&out)
	cmd.SetArgs([]string{"__complete", "--par"})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "--partitions\tHow many.") {
		t.Errorf("completions %q", out.String())
	}
}

func TestCommandGetsRawArguments(t *testing.T) {
	var got []string
	cmd := newJopt().set.Command(false, func(args []string) error { got = args; return nil })
	cmd.SetArgs([]string{"-topic", "a", "--nosuch"})
	if err := cmd.Execute(); err != nil || !slices.Equal(got, []string{"-topic", "a", "--nosuch"}) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestArgumentsFromAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "args")
	if err := os.WriteFile(file, []byte("format\n--config\na b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := New("tool", "", Argparse)
	s.FromFile = true
	sub := s.Sub("format", "")
	config := sub.String("config", "", "")
	if err := s.Parse([]string{"@" + file}); err != nil || s.Chosen() != sub || config.Value() != "a b" {
		t.Errorf("%v %q", err, config.Value())
	}
	if err := s.Parse([]string{"@/does/not/exist"}); err == nil {
		t.Error("a file that is not there is passed over")
	}
}
