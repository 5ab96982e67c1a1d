package script

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// naming replaces what differs between two runs of the same broker by names
// in the order of appearance.
type naming struct {
	base    int64
	strings []string // pairs for strings.NewReplacer
	ids     map[string]string
	count   map[string]int
	several bool // nodes
}

func newNaming(base int64, places []string) *naming {
	return &naming{
		base:    base,
		strings: places,
		ids:     map[string]string{},
		count:   map[string]int{},
	}
}

// name is the name of an id, which is given when it is seen first.
func (n *naming) name(kind, id string) string {
	key := kind + "\x00" + id
	if n.ids[key] == "" {
		n.count[kind]++
		n.ids[key] = fmt.Sprintf("<%s %d>", kind, n.count[kind])
	}
	return n.ids[key]
}

var (
	uuid       = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	millis     = regexp.MustCompile(`\b1[6-9][0-9]{11}\b`)
	clientPort = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)
	farMillis  = regexp.MustCompile(`-?\b92233[0-9]{14}\b`)
	whichNode  = regexp.MustCompile(`(active controller appears to be node )[1-9]`)
	javaObject = regexp.MustCompile(`@[0-9a-f]{6,8}\b`)
)

// text normalises what a person would read, such as an error message.
func (n *naming) text(s string) string {
	s = strings.NewReplacer(n.strings...).Replace(s)
	s = clientPort.ReplaceAllString(s, "<client>")
	s = uuid.ReplaceAllStringFunc(s, func(id string) string { return n.name("uuid", id) })
	s = millis.ReplaceAllStringFunc(s, func(ms string) string {
		v, err := strconv.ParseInt(ms, 10, 64)
		if err != nil {
			return ms
		}
		return n.time(v)
	})
	s = farMillis.ReplaceAllString(s, "<far>")
	if n.several {
		s = whichNode.ReplaceAllString(s, "${1}<a node>") // which of them is the active controller is left to chance
	}
	s = javaObject.ReplaceAllString(s, "@<hash>")
	if !utf8.ValidString(s) {
		s = "hex:" + hex.EncodeToString([]byte(s))
	}
	return s
}

// known makes a binary id readable wherever its usual text form turns up.
func (n *naming) uuid(id [16]byte) string {
	if id == [16]byte{} {
		return "<zero>"
	}
	name := n.name("id", string(id[:]))
	text := base64.RawURLEncoding.EncodeToString(id[:])
	if !slices.Contains(n.strings, text) {
		n.strings = append(n.strings, text, name)
	}
	return name
}

// time names a point in time: relative to the scenario's origin if it is near
// to it, otherwise it comes from a clock.
func (n *naming) time(ms int64) string {
	const near = 20 * 60 * 1000
	if d := ms - n.base; d > -near && d < near {
		return fmt.Sprintf("t%+d", d)
	}
	if ms > n.base {
		return "<now>"
	}
	return "<past>"
}

// flatten turns an answer into paths and values.
func (n *naming) flatten(v any) map[string]string {
	out := map[string]string{}
	n.walk(out, "", "", reflect.ValueOf(v))
	return out
}

// ignored fields say nothing about behaviour, or are covered elsewhere.
var ignored = []string{"Version", "ThrottleMillis"}

func (n *naming) walk(out map[string]string, path, field string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			out[path] = "null"
			return
		}
		n.walk(out, path, field, v.Elem())
	case reflect.Struct:
		n.walkStruct(out, path, v)
	case reflect.Slice:
		n.walkSlice(out, path, field, v)
	case reflect.Array:
		if id, ok := v.Interface().([16]byte); ok {
			out[path] = n.uuid(id)
		}
	case reflect.String:
		out[path] = n.stringField(field, v.String())
	case reflect.Bool:
		out[path] = strconv.FormatBool(v.Bool())
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		out[path] = n.number(field, v.Int())
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		out[path] = n.number(field, int64(v.Uint()))
	case reflect.Float64:
		out[path] = strconv.FormatFloat(v.Float(), 'g', -1, 64)
	default:
		out[path] = fmt.Sprint(v.Interface())
	}
}

func (n *naming) walkStruct(out map[string]string, path string, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() || slices.Contains(ignored, f.Name) {
			continue
		}
		if f.Name == "UnknownTags" {
			if tags := v.Field(i).MethodByName("Len"); tags.IsValid() {
				if k := tags.Call(nil)[0].Int(); k > 0 {
					out[path+".UnknownTags"] = strconv.FormatInt(k, 10)
				}
			}
			continue
		}
		n.walk(out, strings.TrimPrefix(path+"."+f.Name, "."), f.Name, v.Field(i))
	}
}

func (n *naming) walkSlice(out map[string]string, path, field string, v reflect.Value) {
	if v.IsNil() {
		out[path] = "null"
		return
	}
	if b, ok := v.Interface().([]byte); ok {
		if field == "RecordBatches" || field == "Records" {
			n.walk(out, path, "", reflect.ValueOf(describeBatches(b)))
			return
		}
		out[path] = n.text(string(b))
		return
	}
	if k := v.Type().Elem().Kind(); k != reflect.Struct && k != reflect.Array {
		items := make([]string, v.Len())
		for i := range items {
			one := map[string]string{}
			n.walk(one, "", field, v.Index(i))
			items[i] = one[""]
		}
		if field == "SupportedFeatures" || field == "Topics" || field == "SubscribedTopics" || field == "Partitions" || field == "States" || field == "ISR" && n.several {
			slices.Sort(items)
		}
		out[path] = "[" + strings.Join(items, ", ") + "]"
		return
	}
	out[path+".len"] = strconv.Itoa(v.Len())
	seen := map[string]int{}
	for i := range v.Len() {
		key := n.elementKey(v.Index(i), i)
		if seen[key]++; seen[key] > 1 {
			key += "#" + strconv.Itoa(seen[key])
		}
		n.walk(out, path+"["+key+"]", "", v.Index(i))
	}
}

// keyFields identify an element of a list, so that lists compare whatever
// their order: many of Kafka's come out of hash maps.
var keyFields = []string{
	"ApiKey", "Topic", "TopicName", "Name", "Partition", "PartitionIndex", "Group", "GroupID", "InstanceID", "MemberID", "ConfigName", "ResourceName",
	"NodeID", "ReplicaID", "Dir", "Index", "Quorum", "Feature", "Key", "ListenerName", "User", "BaseOffset", "Offset",
}

func (n *naming) elementKey(v reflect.Value, i int) string {
	if v.Kind() == reflect.Struct {
		for _, name := range keyFields {
			f := v.FieldByName(name)
			for f.IsValid() && f.Kind() == reflect.Pointer && !f.IsNil() {
				f = f.Elem()
			}
			if !f.IsValid() {
				continue
			}
			switch f.Kind() {
			case reflect.String:
				if id := v.FieldByName("TopicID"); n.several && f.String() == "" && id.IsValid() {
					return n.uuid(id.Interface().([16]byte))
				}
				return n.text(f.String())
			case reflect.Int16, reflect.Int32, reflect.Int64:
				return strconv.FormatInt(f.Int(), 10)
			}
		}
	}
	return strconv.Itoa(i)
}

func (n *naming) stringField(field, s string) string {
	switch field {
	case "ClusterID":
		return "<cluster>"
	case "MemberID", "LeaderID", "Leader":
		if s != "" && !uuid.MatchString(s) {
			return n.name("member", s)
		}
	}
	return n.text(s)
}

func (n *naming) number(field string, v int64) string {
	switch {
	case field == "Port":
		return "<port>"
	case field == "ControllerID" && n.several && v > 0:
		return "<a node>" // brokers name any that lives
	case field == "ProducerID" && v >= 0:
		return n.name("producer", strconv.FormatInt(v, 10))
	case field == "SessionID" && v != 0:
		return n.name("session", strconv.FormatInt(v, 10))
	case (field == "TotalBytes" || field == "UsableBytes") && v > 0:
		return "<bytes>"
	case v > 1_600_000_000_000 && v < 2_000_000_000_000:
		return n.time(v)
	}
	return strconv.FormatInt(v, 10)
}
