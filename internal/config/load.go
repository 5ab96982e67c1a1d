package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Notice is a line to show at start: something in the file that does not stop the start but that its author
// should know.
type Notice struct {
	Key  string // "" if it is about no single key
	Text string
	Info bool // good to know rather than to be mended
}

func (n Notice) String() string {
	if n.Key == "" {
		return n.Text
	}
	return n.Key + ": " + n.Text
}

// Load makes the Set of a file and of overrides, each key=value, which win over the file. It checks everything
// and writes nothing. The error, if any, joins one *Error for each wrong setting; notices are in file order.
func Load(props Properties, overrides []string) (*Set, []Notice, error) {
	all := slices.Clone(props)
	for _, o := range overrides {
		key, value, ok := strings.Cut(o, "=")
		if !ok || strings.TrimSpace(key) == "" {
			return nil, nil, &Error{Key: "--override", Value: o, Reason: "it has the form key=value"}
		}
		all = append(all, Property{Key: strings.TrimSpace(key), Value: strings.TrimSpace(value)})
	}
	l := loader{set: &Set{static: map[string]string{}, extra: map[string]string{}}, given: all.Map()}
	l.sort(all)
	if len(l.errs) > 0 {
		return nil, l.notices, errors.Join(l.errs...)
	}
	l.oneID()
	if bad := l.set.effective(); len(bad) > 0 {
		return nil, l.notices, errors.Join(bad...)
	}
	if err := l.set.validateCross(); err != nil {
		return nil, l.notices, err
	}
	var err error
	if l.set.node, err = l.set.deriveNode(); err != nil {
		return nil, l.notices, err
	}
	for _, key := range l.set.strayListeners() {
		l.note(key, "it has no effect: there is no such listener (the name stands in lower case)")
	}
	l.legacyNotice()
	if len(l.idle) > 0 {
		l.notices = append(l.notices, Notice{Info: true, Text: "settings of the file that have no effect in this version (docs/CONFIG.md says why): " + strings.Join(l.idle, ", ")})
	}
	return l.set, l.notices, nil
}

// loader sorts what was given into known and other settings.
type loader struct {
	set     *Set
	given   map[string]string
	notices []Notice
	idle    []string // settings given that have no effect
	errs    []error
}

// oneID makes node.id and broker.id two names of one setting, as in Kafka.
func (l *loader) oneID() {
	node, hasNode := l.set.static["node.id"]
	broker, hasBroker := l.set.static["broker.id"]
	switch {
	case hasNode && !hasBroker:
		l.set.static["broker.id"] = node
	case hasBroker && !hasNode:
		if n, err := strconv.Atoi(strings.TrimSpace(broker)); err == nil && n >= 0 {
			l.set.static["node.id"] = broker
		}
	}
}

func (l *loader) note(key, format string, args ...any) {
	l.notices = append(l.notices, Notice{Key: key, Text: fmt.Sprintf(format, args...)})
}

func (l *loader) sort(all Properties) {
	seen := map[string]Property{}
	for _, p := range all {
		first, again := seen[p.Key]
		if again && first.Line > 0 && p.Line > 0 && first.Value != p.Value {
			l.note(p.Key, "it is given twice, in lines %d and %d; the last one counts", first.Line, p.Line)
		}
		seen[p.Key] = p
	}
	done := map[string]bool{}
	for _, p := range all {
		if done[p.Key] {
			continue
		}
		done[p.Key] = true
		l.one(p.Key, l.given[p.Key])
	}
}

func (l *loader) one(key, raw string) {
	if err := gateCheck(key, raw); err != nil {
		l.errs = append(l.errs, err)
		return
	}
	d := LookupBroker(key)
	if d == nil || d.DynamicOnly {
		l.set.extra[key] = raw
		l.other(key, raw)
		return
	}
	if _, err := d.Parse(raw); err != nil {
		l.errs = append(l.errs, err)
		return
	}
	l.set.static[key] = raw
	if d.Effect == NoEffect {
		l.idle = append(l.idle, key)
	}
}

// other says what becomes of a key that is not in the table.
func (l *loader) other(key, raw string) {
	if say, ok := Removed(key); ok {
		if say != "" {
			l.note(key, "%s", say)
		}
		return
	}
	if slices.Contains(oldAddressKeys, key) && l.given["process.roles"] == "" {
		l.note(key, "it was removed in Kafka 3.0 and is read as part of listeners or advertised.listeners, which took its place")
		return
	}
	for _, o := range otherKeys {
		if !matches(o.key, key) {
			continue
		}
		if o.key == "listener.name." {
			break
		}
		if o.say != "" && !l.forAuthorizer(key) {
			l.note(key, "it has no effect: %s", o.say)
		}
		return
	}
	if base, prefixed := baseName(key); prefixed && LookupBroker(base) != nil {
		if _, err := LookupBroker(base).Parse(raw); err != nil {
			l.errs = append(l.errs, err)
		}
		return
	}
	l.unknown(key)
}

func (l *loader) unknown(key string) {
	if d := LookupTopic(key); d != nil && d.Server != "" {
		l.note(key, "unknown setting; it is one of topics, whose default for all topics is %s", d.Server)
		return
	}
	if near := Nearest(key); near != "" {
		l.note(key, "unknown setting, not used; the nearest known one is %s", near)
		return
	}
	l.note(key, "unknown setting, not used")
}

func (l *loader) legacyNotice() {
	n := l.set.node
	if !n.Legacy {
		return
	}
	for key := range l.given {
		if strings.HasPrefix(key, "zookeeper.") {
			l.notices = slices.Insert(l.notices, 0, Notice{Text: zookeeperNotice})
			return
		}
	}
	l.notices = slices.Insert(l.notices, 0, Notice{Text: "process.roles is not set: this node starts as a broker and controller in one, on its own"})
}

// Nearest returns the declared broker setting whose name is most like name, "" if none is near.
func Nearest(name string) string {
	best, bestDist := "", 2+len(name)/5
	for i := range brokerTable.defs {
		n := brokerTable.defs[i].Name
		if d := editDistance(name, n, bestDist); d < bestDist {
			best, bestDist = n, d
		}
	}
	return best
}

// editDistance counts the insertions, deletions, substitutions and swaps of neighbours that make a from b; once
// it must be over limit it returns something over limit.
func editDistance(a, b string, limit int) int {
	if d := len(a) - len(b); d > limit || -d > limit {
		return limit + 1
	}
	before, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(b)]
}

// Errors takes apart what Load joined.
func Errors(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// Explain is the text of an error with what is allowed, where Kafka's own sentence does not say it.
func Explain(err error) string {
	var e *Error
	if !errors.As(err, &e) || e.Full != "" {
		return err.Error()
	}
	base, _ := baseName(e.Key)
	d := LookupBroker(base)
	if d == nil || !strings.HasPrefix(e.Reason, "Not a number") && !strings.HasPrefix(e.Reason, "Value must") {
		return err.Error()
	}
	kind := map[Type]string{Int: "a whole number", Short: "a whole number", Long: "a whole number", Double: "a number"}[d.Type]
	if d.Valid == nil {
		return err.Error() + "; allowed is " + kind
	}
	return err.Error() + "; allowed is " + kind + " in " + d.Valid.String()
}
