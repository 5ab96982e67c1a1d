package script

import (
	"testing"
)

func TestBatchesComeBack(t *testing.T) {
	for codec, name := range Codecs {
		b := Batch{Base: 1000, Codec: codec, Records: []Rec{{Key: []byte("k"), Value: []byte("v")}, {At: 5}}}.Producer(7, 1, 3).Encode()
		got := describeBatches(append(b, b[:20]...))
		if len(got) != 2 || got[1].Problem != "cut off" {
			t.Fatalf("%s: %+v", name, got)
		}
		f := got[0]
		if f.Problem != "" || f.NumRecords != 2 || f.ProducerID != 7 || f.FirstSequence != 3 || f.MaxTimestamp != 1005 || *f.Content[0].Value != "v" || f.Content[1].Value != nil {
			t.Errorf("%s: %+v", name, f)
		}
	}
	spoilt := Batch{Base: 1000, BadCRC: true, Records: Values("a")}.Encode()
	if f := describeBatches(spoilt)[0]; f.Problem != "checksum" {
		t.Errorf("a wrong checksum gives %+v", f)
	}
}

func TestNaming(t *testing.T) {
	n := newNaming(1_795_000_000_000, placeNames("127.0.0.1:20800", "/data", ""))
	answer := struct {
		TopicID    [16]byte
		ProducerID int64
		Timestamp  int64
		Port       int32
		ErrorText  string
		List       []struct{ Name string }
	}{
		TopicID: [16]byte{1}, ProducerID: 4000, Timestamp: 1_795_000_000_007, Port: 20800, ErrorText: "topic AQAAAAAAAAAAAAAAAAAAAA at 127.0.0.1:20800 in /data/x-0",
		List: []struct{ Name string }{{"b"}, {"a"}},
	}
	got := n.flatten(answer)
	for path, want := range map[string]string{
		"TopicID": "<id 1>", "ProducerID": "<producer 1>", "Timestamp": "t+7", "Port": "<port>", "ErrorText": "topic <id 1> at <addr> in <data>/x-0",
		"List.len": "2", "List[a].Name": "a", "List[b].Name": "b",
	} {
		if got[path] != want {
			t.Errorf("%s = %q, want %q", path, got[path], want)
		}
	}
}
