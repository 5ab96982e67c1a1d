// Command gen writes the tables of the config package from schema/*.tsv. Run it with go generate.
package main

import (
	"bytes"
	"fmt"
	"go/format"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

func main() {
	log.SetFlags(0)
	dir := "."
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	files, err := Generate(filepath.Join(dir, "schema"))
	if err != nil {
		log.Fatal(err)
	}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

type row map[string]string

// Generate returns file name → content of all tables.
func Generate(schema string) (map[string][]byte, error) {
	notes, err := readKeyed(filepath.Join(schema, "notes.tsv"))
	if err != nil {
		return nil, err
	}
	lists, err := readKeyed(filepath.Join(schema, "list_rules.tsv"))
	if err != nil {
		return nil, err
	}
	used := map[string]bool{}
	g := generator{notes: notes, lists: lists, used: used, bodies: map[string]*bytes.Buffer{}}
	if err := g.all(schema); err != nil {
		return nil, err
	}
	for key := range notes {
		if !used[key] {
			return nil, fmt.Errorf("notes.tsv: there is no setting %s", key)
		}
	}
	return g.files()
}

type generator struct {
	notes, lists map[string]row
	used         map[string]bool
	bodies       map[string]*bytes.Buffer
	order        []string
}

func (g *generator) all(schema string) error {
	for _, part := range []struct{ file, scope string }{
		{"broker_configs.tsv", "broker"}, {"weir_configs.tsv", "broker"}, {"topic_configs.tsv", "topic"},
		{"group_configs.tsv", "group"}, {"client_metrics_and_quota_configs.tsv", "client-metrics"},
	} {
		rows, err := readRows(filepath.Join(schema, part.file))
		if err != nil {
			return err
		}
		for _, r := range rows {
			if part.scope == "client-metrics" && r["scope"] != "client-metrics" {
				continue
			}
			if err := g.row(part.scope, r); err != nil {
				return fmt.Errorf("%s: %s: %w", part.file, r["name"], err)
			}
		}
	}
	return nil
}

// subsystem names the table that a broker setting goes to.
func subsystem(scope, name string) string {
	if scope != "broker" {
		return map[string]string{"topic": "topic", "group": "grouptype", "client-metrics": "clientmetrics"}[scope]
	}
	for _, p := range []struct{ prefix, table string }{
		{"weir.", "weir"}, {"ssl.", "security"}, {"sasl.", "security"}, {"security.", "security"}, {"delegation.", "security"},
		{"authorizer.", "security"}, {"principal.", "security"}, {"remote.log.", "remote"}, {"remote.", "remote"},
		{"log.local.", "remote"}, {"log.remote.", "remote"}, {"log.", "log"}, {"group.", "group"}, {"offset", "group"},
		{"transaction", "transaction"}, {"producer.id", "transaction"}, {"add.partitions", "transaction"},
		{"share.", "share"}, {"errors.", "share"}, {"controller.", "quorum"}, {"metadata.", "quorum"}, {"internal.", "quorum"},
		{"replica", "replication"}, {"leader.", "replication"}, {"follower.", "replication"}, {"unclean.", "replication"},
		{"socket.", "network"}, {"max.connection", "network"}, {"connection", "network"}, {"listener", "network"},
		{"advertised.", "network"}, {"num.network", "network"}, {"queued.", "network"}, {"early.", "network"},
	} {
		if strings.HasPrefix(name, p.prefix) {
			return p.table
		}
	}
	return "server"
}

func (g *generator) row(scope string, r row) error {
	name := r["name"]
	table := subsystem(scope, name)
	body := g.bodies[table]
	if body == nil {
		body = &bytes.Buffer{}
		g.bodies[table] = body
		g.order = append(g.order, table)
	}
	fmt.Fprintf(body, "{Name: %q, Type: %s", name, goType(r["type"]))
	def := r["default"]
	if scope == "group" {
		def = r["default_in_configdef"]
	}
	switch def {
	case "(required)":
		body.WriteString(", Required: true")
	case "null":
		body.WriteString(", Null: true")
	case `""`, "[]":
	default:
		if r["type"] == "list" {
			def = strings.Trim(def, "[]")
		}
		fmt.Fprintf(body, ", Default: %q", def)
	}
	if imp := r["importance"]; imp != "high" {
		fmt.Fprintf(body, ", Importance: %s", strings.ToUpper(imp[:1])+imp[1:])
	}
	switch r["update_mode"] {
	case "per-broker":
		body.WriteString(", Update: PerBroker")
	case "cluster-wide":
		body.WriteString(", Update: ClusterWide")
	}
	v, err := g.validator(name, r)
	if err != nil {
		return err
	}
	if v != "" {
		fmt.Fprintf(body, ", Valid: %s", v)
	}
	if r["internal"] == "y" {
		body.WriteString(", Internal: true")
	}
	if s := r["server_default_property"] + r["broker_default_property"]; s != "" {
		fmt.Fprintf(body, ", Server: %q", s)
	}
	if s := r["synonyms_in_lookup_order"]; scope == "broker" && strings.Contains(s, ",") {
		fmt.Fprintf(body, ", Synonyms: []string{%s}", quoted(strings.Split(s, ",")))
	}
	if strings.HasPrefix(r["note"], "dynamic only") {
		body.WriteString(", DynamicOnly: true")
	}
	if err := g.note(body, scope, name, r); err != nil {
		return err
	}
	body.WriteString("},\n")
	return nil
}

func (g *generator) note(body *bytes.Buffer, scope, name string, r row) error {
	key := scope + ":" + name
	n, ok := g.notes[key]
	if !ok {
		return nil
	}
	g.used[key] = true
	switch n["effect"] {
	case "works":
	case "none":
		body.WriteString(", Effect: NoEffect")
	case "refused":
		body.WriteString(", Effect: Refused")
	default:
		return fmt.Errorf("notes.tsv: unknown effect %q", n["effect"])
	}
	if n["why"] != "" {
		fmt.Fprintf(body, ", Why: %q", n["why"])
	}
	if n["doc"] != "" {
		fmt.Fprintf(body, ",\n\t\tDoc: %q", n["doc"])
	}
	return nil
}

func quoted(words []string) string {
	for i := range words {
		words[i] = strconv.Quote(strings.TrimSpace(words[i]))
	}
	return strings.Join(words, ", ")
}

func goType(t string) string { return strings.ToUpper(t[:1]) + t[1:] }

var (
	lower = regexp.MustCompile(`^\[(-?[0-9]+),\.\.\.\]$`)
	both  = regexp.MustCompile(`^\[(-?[0-9.]+),\.\.\.,(-?[0-9.]+)\]$`)
	words = regexp.MustCompile(`^(\(case insensitive\) )?\[([A-Za-z0-9_, -]+)\]$`)
)

func (g *generator) validator(name string, r row) (string, error) {
	text := r["valid_values"]
	if rule, ok := g.lists[name]; ok {
		return listValidator(rule["rule"], text)
	}
	switch text {
	case "", "non-null string":
		return "", nil
	case "non-empty string":
		return "nonEmptyString{}", nil
	case "[1,...,9] or -1":
		return "gzipLevel{}", nil
	case "[partitionId]:[brokerId],[partitionId]:[brokerId],...":
		return "throttledReplicas{}", nil
	case "[latest, earliest, by_duration:PnDTnHnMn.nS]":
		return "autoOffsetReset{}", nil
	}
	if m := lower.FindStringSubmatch(text); m != nil {
		return "atLeast(" + m[1] + ")", nil
	}
	if m := both.FindStringSubmatch(text); m != nil {
		if r["type"] == "double" {
			return "fraction{" + m[1] + ", " + m[2] + "}", nil
		}
		return "between{" + m[1] + ", " + m[2] + "}", nil
	}
	if m := words.FindStringSubmatch(text); m != nil {
		s := "oneOf{words: []string{" + quoted(strings.Split(m[2], ",")) + "}"
		if m[1] != "" {
			s += ", fold: true"
		}
		return s + "}", nil
	}
	return "", fmt.Errorf("valid values not understood: %q", text)
}

func listValidator(rule, text string) (string, error) {
	var fields []string
	if m := words.FindStringSubmatch(text); m != nil {
		fields = append(fields, "words: []string{"+quoted(strings.Split(m[2], ","))+"}")
	}
	switch rule {
	case "voters":
		return "voterList{}", nil
	case "addresses":
		return "addressList{}", nil
	case "nonempty":
		fields = append(fields, "nonEmpty: true")
	case "unique":
	default:
		return "", fmt.Errorf("list_rules.tsv: unknown rule %q", rule)
	}
	return "listRule{" + strings.Join(fields, ", ") + "}", nil
}

func (g *generator) files() (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, table := range g.order {
		var src bytes.Buffer
		fmt.Fprintf(&src, "// Code generated by gen from schema; DO NOT EDIT.\n\npackage config\n\nvar %sDefs = []Def{\n%s}\n", table, g.bodies[table])
		data, err := format.Source(src.Bytes())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", table, err)
		}
		out["table_"+table+".go"] = data
	}
	return out, nil
}

func readKeyed(path string) (map[string]row, error) {
	rows, err := readRows(path)
	if err != nil {
		return nil, err
	}
	out := make(map[string]row, len(rows))
	for _, r := range rows {
		key := r["name"]
		if s := r["scope"]; s != "" {
			key = s + ":" + key
		}
		if out[key] != nil {
			return nil, fmt.Errorf("%s: %s stands there twice", path, key)
		}
		out[key] = r
	}
	return out, nil
}

func readRows(path string) ([]row, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	head := strings.Split(lines[0], "\t")
	rows := make([]row, 0, len(lines)-1)
	for i, line := range lines[1:] {
		cells := strings.Split(line, "\t")
		if len(cells) > len(head) {
			return nil, fmt.Errorf("%s:%d: %d cells, the head has %d", path, i+2, len(cells), len(head))
		}
		r := row{}
		for j, c := range cells {
			r[head[j]] = c
		}
		rows = append(rows, r)
	}
	return rows, nil
}
