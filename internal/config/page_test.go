package config

import (
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/CONFIG.md anew")

const page = "../../docs/CONFIG.md"

// docs/CONFIG.md is made of the tables: go test ./internal/config -run ConfigPage -update
func TestConfigPage(t *testing.T) {
	want := markdown()
	if *update {
		if err := os.MkdirAll(filepath.Dir(page), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("docs/CONFIG.md is not what the tables say; run: go test ./internal/config -run ConfigPage -update\n%s", firstDifference(string(got), want))
	}
}

func markdown() string {
	var b strings.Builder
	b.WriteString(`# Settings

This page is made of the tables in internal/config; do not edit it.

Weir reads the ` + "`server.properties`" + ` of Apache Kafka 4. Every setting of Kafka is known by name, type, range and default, so
that a wrong value is found at the start. Settings that do something are listed first, those that are accepted without
effect at the end, with the reason.

- A key that is not known is a warning with the nearest known name.
- Files of the time of ZooKeeper (without ` + "`process.roles`" + `) start as a single node that is broker and controller; what is
  left of ZooKeeper in them is not used.
- Values are read as UTF-8; bytes that are not UTF-8 as ISO-8859-1, which Java assumes always.

`)
	b.WriteString("## Settings that stop the start\n\nA setting that asks for protection which this version does not have stops the start, unless it only repeats the default. It is never accepted without effect.\n\n| setting | what is missing | what would happen without it |\n| --- | --- | --- |\n")
	for _, r := range securityGate {
		key := r.key
		if strings.HasSuffix(key, ".") {
			key += "*"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", key, r.lacks, r.harmed)
	}
	b.WriteString("\nOf these settings Weir has some values only; any other stops the start:\n\n| setting | values |\n| --- | --- |\n")
	for _, key := range slices.Sorted(maps.Keys(securityChoices)) {
		var values []string
		for _, v := range securityChoices[key].allowed {
			if v == "" {
				v = "(empty)"
			}
			values = append(values, v)
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", key, strings.Join(values, ", "))
	}
	b.WriteString("\n")
	b.WriteString("## Settings of the broker\n\n`dynamic` says whether the setting can be changed while the broker runs (kafka-configs): for one broker, or cluster-wide.\n\n")
	writeTable(&b, brokerTable, true)
	b.WriteString("\n## Settings of topics\n\nThe default is that of the setting of the broker in the last column, if it is set there.\n\n")
	writeTable(&b, topicTable, false)
	b.WriteString("\n## Settings of client-metrics subscriptions\n\nThey count with `weir.client.telemetry=true`.\n\n")
	writeTable(&b, clientMetricsTable, false)
	b.WriteString("\n## Accepted without effect\n\n")
	writeIdle(&b)
	b.WriteString("\n## Settings that Kafka once had\n\nThey are accepted with a line that says so.\n\n| setting | |\n| --- | --- |\n")
	for _, r := range removedKeys {
		say := r.say
		if say == "" {
			say = "ZooKeeper is not needed"
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", strings.TrimSuffix(r.key, ".")+map[bool]string{true: ".*"}[strings.HasSuffix(r.key, ".")], say)
	}
	return b.String()
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func writeTable(b *strings.Builder, t *table, broker bool) {
	if broker {
		b.WriteString("| setting | type | default | allowed | dynamic | |\n| --- | --- | --- | --- | --- | --- |\n")
	} else {
		b.WriteString("| setting | type | default | allowed | broker's setting | |\n| --- | --- | --- | --- | --- | --- |\n")
	}
	for _, i := range sortedDefs(t) {
		d := &t.defs[i]
		if d.Effect != Works || d.Internal {
			continue
		}
		allowed, def, extra := "", "`"+d.Default+"`", ""
		if d.Valid != nil {
			allowed = cell(d.Valid.String())
		}
		switch {
		case d.Required:
			def = "required"
		case d.Null || d.Default == "":
			def = ""
		}
		if broker {
			if d.Update != ReadOnly {
				extra = d.Update.String()
			}
		} else if d.Server != "" {
			extra = "`" + d.Server + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s | %s |\n", d.Name, strings.ToLower(d.Type.String()), def, allowed, extra, cell(d.Doc))
	}
}

func sortedDefs(t *table) []int {
	order := make([]int, len(t.defs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(t.defs[a].Name, t.defs[b].Name) })
	return order
}

// writeIdle lists what has no effect, by reason.
func writeIdle(b *strings.Builder) {
	byReason := map[string][]string{}
	for scope, t := range map[string]*table{"": brokerTable, " (topic)": topicTable, " (group)": groupTable} {
		for i := range t.defs {
			if d := &t.defs[i]; d.Effect == NoEffect {
				byReason[d.Why] = append(byReason[d.Why], "`"+d.Name+"`"+scope)
			}
		}
	}
	b.WriteString("| reason | settings |\n| --- | --- |\n")
	reasons := make([]string, 0, len(byReason))
	for r := range byReason {
		reasons = append(reasons, r)
	}
	slices.Sort(reasons)
	for _, r := range reasons {
		slices.Sort(byReason[r])
		fmt.Fprintf(b, "| %s | %s |\n", r, strings.Join(byReason[r], ", "))
	}
}

var quotedKey = regexp.MustCompile(`"([a-z][a-z0-9]*(?:\.[a-z0-9]+)*)"`)

// The tables must not claim an effect that no code has, nor deny one: a setting of the broker works if some code
// outside the tables names it, or if it is the default of a topic setting that works.
func TestEffectsAreTrue(t *testing.T) {
	named := namedInCode(t)
	for i := range topicTable.defs {
		if d := &topicTable.defs[i]; d.Effect == Works && d.Server != "" {
			named[d.Server] = true
			for _, s := range LookupBroker(d.Server).Synonyms {
				named[s] = true
			}
		}
	}
	for i := range groupTable.defs {
		if d := &groupTable.defs[i]; d.Effect == Works {
			named[d.Server] = true
			for _, b := range groupBounds {
				if b.name == d.Name {
					named[b.min], named[b.max] = true, true
				}
			}
		}
	}
	for i := range brokerTable.defs {
		switch d := &brokerTable.defs[i]; {
		case d.Effect == Works && !named[d.Name]:
			t.Errorf("%s is said to work, but no code asks for it", d.Name)
		case d.Effect == NoEffect && named[d.Name]:
			t.Errorf("%s is said to have no effect, but some code asks for it", d.Name)
		case d.Effect == NoEffect && d.Why == "":
			t.Errorf("%s has no effect without a reason", d.Name)
		case d.Effect == Refused && gated(d.Name) == nil:
			t.Errorf("%s is said to be refused, but the gate lets it pass", d.Name)
		case d.Effect != Refused && gated(d.Name) != nil:
			t.Errorf("%s is stopped by the gate, but not said to be refused", d.Name)
		}
	}
}

// namedInCode returns the keys that stand in the engine's code, and in those files of this package that derive
// something from settings.
func namedInCode(t *testing.T) map[string]bool {
	t.Helper()
	named := map[string]bool{}
	own := []string{"node.go", "listener.go"}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		inConfig := strings.HasPrefix(path, "../config/")
		if d.IsDir() && (name == "testkit" || name == "kafkadist" || name == "controlplane" || name == "admin") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || inConfig && !slices.Contains(own, name) ||
			strings.HasPrefix(path, "../cli/") && !slices.Contains([]string{"server_start.go", "run_node.go"}, name) {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range quotedKey.FindAllStringSubmatch(string(data), -1) {
			named[m[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return named
}
