package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/xdg-go/scram"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/coordrecord"
)

func TestHashOrderIsJavas(t *testing.T) {
	var partitions []topicPartition
	for i := range int32(5) {
		partitions = append(partitions, topicPartition{"alpha", i})
	}
	hashOrder(partitions, defaultHashCapacity, topicPartition.hash)
	var order []int32
	for _, tp := range partitions {
		order = append(order, tp.partition)
	}
	if !slices.Equal(order, []int32{4, 2, 3, 0, 1}) { // as kafka-consumer-groups prints a reset
		t.Errorf("partitions in order %v", order)
	}
	topics := []string{"alpha", "bravo", "charlie", "delta", "under_score.dot"}
	hashOrder(topics, len(topics), stringHash)
	if !slices.Equal(topics, []string{"bravo", "delta", "under_score.dot", "alpha", "charlie"}) { // as kafka-topics --describe prints them
		t.Errorf("topics in order %v", topics)
	}
}

func TestStringHashIsJavas(t *testing.T) {
	for text, want := range map[string]int32{"": 0, "a": 97, "alpha": 92909918, "polygenelubricants": -2147483648, "\U0001F600": 1772899} {
		if got := stringHash(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

func TestParseConfigPairs(t *testing.T) {
	for text, want := range map[string]client.Properties{
		"a=b":         {"a": "b"},
		"a=b,c=[d,e]": {"a": "b", "c": "d,e"},
		" a = b , c=": {"a": "b", "c": ""},
		"SCRAM-SHA-256=[iterations=4096,password=x=y]": {"SCRAM-SHA-256": "iterations=4096,password=x=y"},
		"a=[b],c=[d],e=f": {"a": "b", "c": "d", "e": "f"},
		"a":               nil,
		"a=b=c":           nil,
		"":                nil,
	} {
		got, err := parseConfigPairs(text)
		if (err != nil) != (want == nil) || want != nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func FuzzParseConfigPairs(f *testing.F) {
	f.Add("a=b,c=[d,e]")
	f.Add("]][=[,")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseConfigPairs(text)
		if err == nil && len(p) == 0 {
			t.Fatalf("%q is no setting at all, and no error", text)
		}
		if strings.Join(splitOutside(text, ','), ",") != text {
			t.Fatalf("%q lost something", text)
		}
	})
}

func TestResetPlanRoundTrip(t *testing.T) {
	plan := []groupReset{{"g 1", []resetOffset{{topicPartition{"a", 0}, 7, -1}, {topicPartition{"a-topic-with-a-name-of-some-length", 3}, 0, -1}}}}
	text := exportOffsets(plan, true)
	if text != "a,0,7\n\"a-topic-with-a-name-of-some-length\",3,0\n" {
		t.Errorf("exported %q", text)
	}
	got, err := parseResetPlan(text, "g 1")
	if err != nil || !reflect.DeepEqual(got["g 1"], plan[0].offsets) {
		t.Errorf("%v, %v", got, err)
	}
	text = exportOffsets(plan, false)
	if got, err = parseResetPlan(text, ""); err != nil || !reflect.DeepEqual(got["g 1"], plan[0].offsets) {
		t.Errorf("%q: %v, %v", text, got, err)
	}
}

func TestResetPlanRefuses(t *testing.T) {
	for _, text := range []string{"a,0", "a,0,1,2,3", "a,x,1", "a,-1,1", "a,0,x", "\"a", "a,99999999999,1"} {
		if got, err := parseResetPlan(text, "g"); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
	if _, err := parseResetPlan("a,0,1", ""); err == nil {
		t.Error("no error for a line without a group among several")
	}
}

func FuzzParseResetPlan(f *testing.F) {
	f.Add("a,0,1\n\"b\"\"\",2,3\n", "g")
	f.Add("g,a,0,1", "")
	f.Fuzz(func(t *testing.T, data, group string) {
		plan, err := parseResetPlan(data, group)
		if err != nil {
			return
		}
		for g, offsets := range plan {
			again, err := parseResetPlan(exportOffsets([]groupReset{{g, offsets}}, false), "")
			if err != nil || len(again) != 1 {
				t.Fatalf("%q: %v, %v", data, again, err)
			}
		}
	})
}

func TestParseOffsetsJSON(t *testing.T) {
	got, err := parseOffsetsJSON([]byte(`{"partitions": [{"topic": "a", "partition": 1, "offset": -1}, {"topic": "b", "partition": 0, "offset": 5}]}`))
	want := []partitionOffset{{topicPartition{"a", 1}, -1}, {topicPartition{"b", 0}, 5}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for text, want := range map[string]string{
		``:                                 "not a valid JSON",
		`[]`:                               "expected form",
		`{"version": 1}`:                   "Missing partitions field",
		`{"version": 3, "partitions": []}`: "Not supported version field value 3",
		`{"partitions": [{"topic": "a"}]}`: "No such field exists",
		`{"partitions": [{"topic": 1}]}`:   "expected form",
		`{"partitions": [{"topic": "a", "partition": -1, "offset": 1}]}`:                                             "-1 is no partition",
		`{"partitions": [{"topic": "a", "partition": 1, "offset": 1}, {"topic": "a", "partition": 1, "offset": 2}]}`: "duplicate topic partitions: a-1",
	} {
		if got, err := parseOffsetsJSON([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

func FuzzParseOffsetsJSON(f *testing.F) {
	f.Add([]byte(`{"version": 1, "partitions": [{"topic": "a", "partition": 1, "offset": 2}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		offsets, err := parseOffsetsJSON(data)
		if err == nil && !json.Valid(data) {
			t.Fatalf("%q is no JSON", data)
		}
		seen := map[topicPartition]bool{}
		for _, o := range offsets {
			if seen[o.tp] || o.tp.partition < 0 {
				t.Fatalf("%q: %v", data, offsets)
			}
			seen[o.tp] = true
		}
	})
}

func readLines(t *testing.T, input string, settings client.Properties) (records []string, err error) {
	t.Helper()
	r, err := newLineReader(strings.NewReader(input), settings)
	if err != nil {
		return nil, err
	}
	text := func(b []byte) string {
		if b == nil {
			return "null"
		}
		return string(b)
	}
	for {
		rec, err := r.next()
		if rec == nil || err != nil {
			return records, err
		}
		line := text(rec.Key) + "=" + text(rec.Value)
		for _, h := range rec.Headers {
			line += "," + h.Key + ":" + text(h.Value)
		}
		records = append(records, line)
	}
}

func TestLineReader(t *testing.T) {
	withKey := client.Properties{"parse.key": "true", "key.separator": ":"}
	with := func(more client.Properties) client.Properties { return withKey.Clone().With(more) }
	headers := client.Properties{"parse.key": "true", "parse.headers": "TRUE"}
	for _, c := range []struct {
		input    string
		settings client.Properties
		want     []string
		err      string
	}{
		{"a\nb", nil, []string{"null=a", "null=b"}, ""},
		{"a\r\nb\rc\n\n", nil, []string{"null=a", "null=b", "null=c", "null="}, ""},
		{"", nil, nil, ""},
		{"\xff\xfe\n", nil, []string{"null=\xff\xfe"}, ""},
		{"k:v:w\n:v\nk:\n", withKey, []string{"k=v:w", "=v", "k="}, ""},
		{"k:v\nnokey\n", withKey, []string{"k=v"}, "No key separator found on line number 2: 'nokey'"},
		{"nokey\n", with(client.Properties{"ignore.error": "true"}), []string{"null=nokey"}, ""},
		{"N:v\nk:N\n", with(client.Properties{"null.marker": "N"}), []string{"null=v", "k=null"}, ""},
		{"a:1,b:2\tk\tv\n", headers, []string{"k=v,a:1,b:2"}, ""},
		{",a:1\tk\tv\n", headers, nil, "No header key separator found in pair '' on line number 1"},
		{"a:1,\tk\tv\n", headers, []string{"k=v,a:1"}, ""},
		{"a\tk\tv\n", headers, nil, "No header key separator found in pair 'a' on line number 1"},
		{"a:1\tk\n", headers, nil, "No key separator found on line number 1: 'a:1\tk'"},
		{"N:1\tk\tv\n", headers.Clone().With(client.Properties{"null.marker": "N"}), nil, "Header keys should not be equal to the null marker 'N'"},
		{"a:N\tk\tv\n", headers.Clone().With(client.Properties{"null.marker": "N"}), []string{"k=v,a:null"}, ""},
		{"N\tk\tv\n", headers.Clone().With(client.Properties{"null.marker": "N"}), []string{"k=v"}, ""},
		{"a:1;b:2|k|v\n", client.Properties{"parse.key": "true", "parse.headers": "true", "key.separator": "|", "headers.delimiter": "|", "headers.separator": ";"}, []string{"k=v,a:1,b:2"}, ""},
		{"x\n", client.Properties{"headers.delimiter": ":"}, nil, "headers.delimiter and headers.key.separator may not be equal"},
		{"x\n", client.Properties{"null.marker": "\t"}, nil, "null.marker and key.separator may not be equal"},
	} {
		got, err := readLines(t, c.input, c.settings)
		if !slices.Equal(got, c.want) || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q %v: %q, %v", c.input, c.settings, got, err)
		}
	}
}

func TestLineReaderTakesLongLines(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	got, err := readLines(t, long+"\r\n"+long, nil)
	if err != nil || len(got) != 2 || got[0] != "null="+long || got[1] != "null="+long {
		t.Errorf("%d records, %v", len(got), err)
	}
}

func FuzzLineReader(f *testing.F) {
	f.Add("h1:a\tk\tv\r\nx", true, true)
	f.Fuzz(func(t *testing.T, input string, key, headers bool) {
		lines, err := readLines(t, input, client.Properties{"parse.key": fmt.Sprint(key), "parse.headers": fmt.Sprint(headers), "ignore.error": "true"})
		if err != nil {
			t.Fatalf("%q: %v", input, err)
		}
		if n := len(strings.FieldsFunc(input, func(r rune) bool { return r == '\n' || r == '\r' })); len(lines) < n {
			t.Fatalf("%q: %d records of %d lines", input, len(lines), n)
		}
	})
}

func TestDefaultFormatter(t *testing.T) {
	r := &kgo.Record{Key: []byte("k"), Value: []byte("v"), Partition: 2, Offset: 3, Timestamp: time.UnixMilli(5), Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "b"}}}
	for settings, want := range map[string]string{
		"":                                       "v\n",
		"print.value=false":                      "",
		"print.key=true":                         "k\tv\n",
		"print.key=true print.value=false":       "k\n",
		"print.timestamp=true print.value=FALSE": "CreateTime:5\n",
		"print.headers=true null.literal=NIL":    "a:1,b:NIL\tv\n",
		"print.partition=true print.offset=true print.delivery=true print.epoch=true key.separator=|": "Partition:2|Offset:3|Delivery:NOT_PRESENT|Epoch:NOT_PRESENT|v\n",
		"print.key=true line.separator=; headers.separator=+ print.headers=true":                      "a:1+b:null\tk\tv;",
		"print.key=true key.deserializer=org.apache.kafka.common.serialization.BytesDeserializer":     "k\tv\n",
	} {
		p := client.Properties{}
		for _, kv := range strings.Fields(settings) {
			k, v, _ := strings.Cut(kv, "=")
			p[k] = v
		}
		f, _ := newMessageFormatter(formatterPackage+"DefaultMessageFormatter", p, &bytes.Buffer{})
		if got, err := f.appendRecord(nil, r); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", settings, got, err, want)
		}
	}
}

func TestFormerFormatterNamesAreKnown(t *testing.T) {
	for class, ok := range map[string]bool{
		"kafka.tools.DefaultMessageFormatter": true, "kafka.tools.NoOpMessageFormatter": true,
		"kafka.coordinator.group.GroupMetadataManager$OffsetsMessageFormatter": true, "DefaultMessageFormatter": false, "com.example.Own": false,
	} {
		if _, got := newMessageFormatter(class, nil, &bytes.Buffer{}); got != ok {
			t.Errorf("%s: %v", class, got)
		}
	}
}

func TestDeserializersPrintAsJava(t *testing.T) {
	for _, c := range []struct{ name, data, want string }{
		{"IntegerDeserializer", "\xff\xff\xff\xfe", "-2"},
		{"IntegerDeserializer", "abc", "! Size of data received by IntegerDeserializer is not 4"},
		{"LongDeserializer", "\x00\x00\x00\x01\x00\x00\x00\x00", "4294967296"},
		{"ShortDeserializer", "\x80\x00", "-32768"},
		{"FloatDeserializer", "\x3f\xc0\x00\x00", "1.5"},
		{"DoubleDeserializer", "\x41\xcd\xcd\x65\x00\x00\x00\x00", "1.0E9"},
		{"DoubleDeserializer", "\x3f\xf0\x00\x00\x00\x00\x00\x00", "1.0"},
		{"BooleanDeserializer", "\x01", "true"},
		{"BooleanDeserializer", "\x02", "! Unexpected byte received by BooleanDeserializer: 2"},
		{"UUIDDeserializer", "123E4567-e89b-12d3-a456-426614174000", "123e4567-e89b-12d3-a456-426614174000"},
		{"UUIDDeserializer", "x", "! Error parsing data into UUID"},
		{"BytesDeserializer", "a\x00\\\xffz", `a\x00\x5C\xFFz`},
		{"StringDeserializer", "a\xffb", "a\uFFFDb"},
		{"VoidDeserializer", "x", "! Data should be null for a VoidDeserializer."},
	} {
		d := deserializerOf("value.deserializer", client.Properties{"value.deserializer": serializationPackage + c.name}, &bytes.Buffer{})
		got, err := d([]byte(c.data))
		if err != nil {
			got = "! " + err.Error()
		}
		if got != c.want {
			t.Errorf("%s %q: %q, want %q", c.name, c.data, got, c.want)
		}
	}
	latin := deserializerOf("key.deserializer", client.Properties{"key.deserializer": serializationPackage + "StringDeserializer",
		"key.deserializer.key.deserializer.encoding": "ISO-8859-1"}, &bytes.Buffer{})
	if got, err := latin([]byte("\xe4")); err != nil || got != "ä" {
		t.Errorf("Latin 1: %q, %v", got, err)
	}
}

func TestJavaFloat(t *testing.T) {
	for v, want := range map[float64]string{0: "0.0", 1: "1.0", 2097152: "2097152.0", 1048576.5: "1048576.5", 1e7: "1.0E7", 12345678: "1.2345678E7", 0.001: "0.001", 0.0001: "1.0E-4", -2.5: "-2.5"} {
		if got := javaFloat(v, 64); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

func TestCoordinatorFormatters(t *testing.T) {
	key := coordrecord.NewOffsetCommitKey()
	key.Group, key.Topic, key.Partition = "g1", "alpha", 2
	value := coordrecord.NewOffsetCommitValue()
	value.Offset, value.LeaderEpoch, value.CommitTimestamp = 1, 0, 1795463992984
	r := &kgo.Record{Key: coordrecord.AppendKey(nil, key), Value: coordrecord.AppendValue(nil, value, 3), Offset: 9}
	offsets, _ := newMessageFormatter(formatterPackage+"OffsetsMessageFormatter", nil, nil)
	got, err := offsets.appendRecord(nil, r)
	want := `{"key":{"type":1,"data":{"group":"g1","topic":"alpha","partition":2}},"value":{"version":3,"data":{"offset":1,"leaderEpoch":0,"metadata":"","commitTimestamp":1795463992984}}}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
	r.Value = nil
	if got, err = offsets.appendRecord(nil, r); err != nil || !strings.HasSuffix(string(got), `"partition":2}},"value":null}`) {
		t.Errorf("tombstone: %s, %v", got, err)
	}
	groups, _ := newMessageFormatter(formatterPackage+"GroupMetadataMessageFormatter", nil, nil)
	if got, err = groups.appendRecord(nil, r); err != nil || len(got) > 0 {
		t.Errorf("another type: %s, %v", got, err)
	}
	r.Key = []byte{0, 99, 1, 2}
	if got, err = offsets.appendRecord(nil, r); err != nil || len(got) > 0 {
		t.Errorf("unknown type: %s, %v", got, err)
	}
	for _, broken := range [][]byte{{0}, {0, 1, 0}} {
		r.Key = broken
		if _, err = offsets.appendRecord(nil, r); err == nil || !strings.Contains(err.Error(), "Could not read record at offset 9 due to: ") {
			t.Errorf("broken key: %v", err)
		}
	}
	r.Key = nil
	if got, err = offsets.appendRecord(nil, r); err != nil || len(got) > 0 {
		t.Errorf("no key: %s, %v", got, err)
	}
}

func TestScramUpsertionIsWhatClientsProve(t *testing.T) {
	for name, hash := range map[string]scram.HashGeneratorFcn{"SCRAM-SHA-256": scram.SHA256, "SCRAM-SHA-512": scram.SHA512} {
		u, err := scramUpsertion("bob", name, "iterations=8192,password=p,w=d")
		if err != nil || u.Name != "bob" || u.Iterations != 8192 {
			t.Fatalf("%+v, %v", u, err)
		}
		cl, err := hash.NewClient("bob", "p,w=d", "")
		if err != nil {
			t.Fatal(err)
		}
		credentials, err := cl.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(u.Salt), Iters: int(u.Iterations)})
		if err != nil {
			t.Fatal(err)
		}
		if got := storedKey(name, u.SaltedPassword); !bytes.Equal(got, credentials.StoredKey) {
			t.Errorf("%s: stored key %x, want %x", name, got, credentials.StoredKey)
		}
	}
	for text, want := range map[string]string{
		"password=x": "", "iterations=-1,password=x": "", "iterations=4095,password=x": "less than the minimum", "x": "Invalid credential property SCRAM_SHA_256=x",
		"iterations=99999999999,password=x": "Invalid credential property",
	} {
		if u, err := scramUpsertion("bob", "SCRAM-SHA-256", text); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", text, u.Iterations, err)
		}
	}
}

func TestTopicPartitionRules(t *testing.T) {
	all := []topicPartition{}
	for _, topic := range []string{"alpha", "bravo"} {
		for p := range int32(4) {
			all = append(all, topicPartition{topic, p})
		}
	}
	for text, want := range map[string]string{
		"alpha": "alpha:0,1,2,3", "alpha:1": "alpha:1", "alpha:1-3": "alpha:1,2", "alpha:2-": "alpha:2,3", "alpha:-1": "alpha:0", ":3": "alpha:3;bravo:3",
		"alpha:0,bravo:1": "alpha:0;bravo:1", ".*a:0": "alpha:0", "nosuch": "-", "": "alpha:0,1,2,3;bravo:0,1,2,3",
	} {
		filter, err := topicPartitionRules(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var got []topicPartition
		for _, tp := range all {
			if filter(tp) {
				got = append(got, tp)
			}
		}
		if assignmentText(got) != want {
			t.Errorf("%s: %s, want %s", text, assignmentText(got), want)
		}
	}
	for _, text := range []string{"a:b", "a:1:2", "a:1-2-3", "[:1", "a:99999999999"} {
		if _, err := topicPartitionRules(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

func TestParseDateTime(t *testing.T) {
	for text, want := range map[string]int64{
		"2020-01-01T00:00:00.000": 1577836800000, "2020-01-01T00:00:00": 1577836800000, "2020-01-01T02:00:00.000+02:00": 1577836800000,
		"2020-01-01T00:00:00.123Z": 1577836800123, "2020-01-01T02:00:00.000+0200": 1577836800000,
	} {
		if got, err := parseDateTime(text); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "yesterday", "2020-01-01", "2020-13-01T00:00:00.000"} {
		if _, err := parseDateTime(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}

func TestParseReplicaAssignment(t *testing.T) {
	got, err := parseReplicaAssignment("1:2,2:3,")
	if err != nil || !reflect.DeepEqual(got, [][]int32{{1, 2}, {2, 3}}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"", "1:1", "1,1:2", "x", "1::2"} {
		if got, err := parseReplicaAssignment(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestTopicFilter(t *testing.T) {
	for _, c := range []struct {
		pattern, topic string
		want           bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"a,b", "b", true}, {" a | b ", "b", true}, {`"a.*"`, "abc", true}, {"__consumer_offsets", "__consumer_offsets", false},
	} {
		f, err := newTopicFilter(c.pattern)
		if err != nil || f.allows(c.topic, true) != c.want {
			t.Errorf("%s %s: %v", c.pattern, c.topic, err)
		}
	}
}

func TestRemovedFlagsNameTheirSuccessor(t *testing.T) {
	for command, want := range map[string]string{
		"kafka-topics --list --zookeeper localhost:2181":                            "--bootstrap-server",
		"kafka-topics --list --zookeeper=localhost:2181":                            "--bootstrap-server",
		"kafka-topics --delete --topic a --force":                                   "no prompt is left",
		"kafka-topics --create --topic a --disable-rack-aware":                      "--replica-assignment",
		"kafka-configs --zookeeper localhost:2181 --describe --topic a":             "--bootstrap-server",
		"kafka-configs --zk-tls-config-file x --describe --topic a":                 "--command-config",
		"kafka-configs --describe --topic a --force":                                "no prompt is left",
		"kafka-console-producer --broker-list localhost:9092 --topic a":             "--bootstrap-server",
		"kafka-console-consumer --zookeeper localhost:2181 --topic a":               "--bootstrap-server",
		"kafka-console-consumer --bootstrap-server localhost:9092 --whitelist a":    "--include",
		"kafka-consumer-groups --zookeeper localhost:2181 --list":                   "--bootstrap-server",
		"kafka-consumer-groups --new-consumer --list":                               "no other consumer",
		"kafka-get-offsets --broker-list localhost:9092 --topic a":                  "--bootstrap-server",
		"kafka-get-offsets --bootstrap-server localhost:9092 --topic a --offsets 2": "one offset per time",
	} {
		words := strings.Fields(command)
		tool, ok := findTool(words[0])
		if !ok {
			t.Fatalf("no tool %s", words[0])
		}
		r := runTool(t, tool.New, "", words[1:]...)
		if r.exit != 1 || r.stdout != "" || !strings.Contains(r.stderr, "is not a recognized option: it was removed in Kafka ") || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: exit %d, %q%q", command, r.exit, r.stdout, r.stderr)
		}
	}
}
