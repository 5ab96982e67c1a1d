package scenarios

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

func fetchVersions(s *script.Session) {
	t := createTarget(s, "fetch-versions", 2)
	for codec := range script.Codecs {
		fill(s, t, script.Batch{Codec: codec, Base: s.Base + int64(codec), Records: script.Values("a", "b", "c")})
	}
	each(s, kmsg.Fetch, func(v int16) {
		s.Ask("from the start", v, fetchReq(t, 0))
		s.Ask("from the middle of a batch", v, fetchReq(t, 4))
		end := fetchReq(t, 15)
		end.MaxWaitMillis = 50
		s.Ask("at the end", v, end)
		s.Ask("behind the end", v, fetchReq(t, 16))
		s.Ask("before the start", v, fetchReq(t, -1))
		committed := fetchReq(t, 0)
		committed.IsolationLevel = 1
		s.Ask("read committed", v, committed)
		s.Ask("missing topic", v, fetchReq(target{"fetch-missing", [16]byte{9}}, 0))
		wrong := fetchReq(t, 0)
		wrong.Topics[0].Partitions[0].Partition = 9
		s.Ask("missing partition", v, wrong)
		if v >= 9 {
			for label, epoch := range inOrder(map[string]int32{"epoch 0": 0, "epoch 1": 1, "epoch 77": 77}) {
				req := fetchReq(t, 0)
				req.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch
				s.Ask(label, v, req)
			}
		}
		if v >= 12 {
			req := fetchReq(t, 0)
			req.Topics[0].Partitions[0].LastFetchedEpoch = 5
			s.Ask("last fetched epoch", v, req)
		}
		if v >= 11 {
			req := fetchReq(t, 0)
			req.Rack = "rack-1"
			s.Ask("a rack", v, req)
		}
	})
}

func fetchLimits(s *script.Session) {
	t := createTarget(s, "fetch-limits", 1)
	for range 4 {
		fill(s, t, script.Batch{Records: script.Values(strings.Repeat("x", 1000))})
	}
	for label, f := range inOrder(map[string]func(*kmsg.FetchRequest){
		"one byte for the partition":  func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].PartitionMaxBytes = 1 },
		"one byte in all":             func(r *kmsg.FetchRequest) { r.MaxBytes = 1 },
		"zero for the partition":      func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].PartitionMaxBytes = 0 },
		"two batches and a half":      func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].PartitionMaxBytes = 2700 },
		"two batches and half in all": func(r *kmsg.FetchRequest) { r.MaxBytes = 2700 },
		"no wait": func(r *kmsg.FetchRequest) {
			r.MaxWaitMillis, r.MinBytes, r.Topics[0].Partitions[0].FetchOffset = 0, 1, 4
		},
		"wait for more than there is": func(r *kmsg.FetchRequest) { r.MaxWaitMillis, r.MinBytes = 100, 1<<20 },
		"negative wait":               func(r *kmsg.FetchRequest) { r.MaxWaitMillis, r.MinBytes = -1, 1<<20 },
		"negative limit":              func(r *kmsg.FetchRequest) { r.MaxBytes = -5 },
		"negative partition limit":    func(r *kmsg.FetchRequest) { r.Topics[0].Partitions[0].PartitionMaxBytes = -5 },
		"no topics":                   func(r *kmsg.FetchRequest) { r.Topics, r.MaxWaitMillis = nil, 10 },
		"partition twice": func(r *kmsg.FetchRequest) {
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, r.Topics[0].Partitions[0])
		},
		"as a replica that is not one": func(r *kmsg.FetchRequest) { r.ReplicaID = 5 },
		"as a debugging consumer":      func(r *kmsg.FetchRequest) { r.ReplicaID = -2 },
		"isolation level 9":            func(r *kmsg.FetchRequest) { r.IsolationLevel = 9 },
	}) {
		for _, v := range []int16{4, 12} {
			req := fetchReq(t, 0)
			f(req)
			s.Ask(label, v, req)
		}
	}
	// A second partition gets what the first leaves over.
	second := createTarget(s, "fetch-limits-two", 1)
	fill(s, second, script.Batch{Records: script.Values(strings.Repeat("y", 1000))})
	req := fetchReq(t, 0)
	req.Topics = append(req.Topics, fetchReq(second, 0).Topics...)
	req.MaxBytes = 1500
	s.Ask("two topics share a limit", 12, req)
	req.MaxBytes = 10
	s.Ask("two topics share a small limit", 12, req)
}

func fetchErrors(s *script.Session) {
	t := createTarget(s, "fetch-errors", 1)
	fill(s, t, script.Batch{Records: script.Values("a")})
	req := fetchReq(t, 0)
	req.Topics[0].TopicID = [16]byte{}
	s.Ask("zero topic id", 13, req)
	mixed := fetchReq(t, 0)
	mixed.Topics = append(mixed.Topics, fetchReq(target{id: [16]byte{3}}, 0).Topics...)
	s.Ask("a good and an unknown id", 13, mixed)
	named := fetchReq(t, 0)
	named.Topics = append(named.Topics, fetchReq(target{name: "fetch-missing"}, 0).Topics...)
	named.MaxWaitMillis = 5000 // an error must not wait
	s.Ask("a good and an unknown name", 12, named)
	s.Ask("a bad name", 12, fetchReq(target{name: "a/b"}, 0))
	many := fetchReq(t, 1<<40)
	s.Ask("far behind the end", 12, many)
}

func fetchSessions(s *script.Session) {
	a, b := createTarget(s, "session-a", 2), createTarget(s, "session-b", 1)
	fill(s, a, script.Batch{Records: script.Values("1")})
	for _, v := range []int16{7, 12, 13, 16} {
		session := int32(0)
		ask := func(label string, id, epoch int32, forget []target, topics ...kmsg.FetchRequestTopic) {
			req := fetchReq(a, 0)
			req.Topics, req.SessionID, req.SessionEpoch = topics, id, epoch
			req.MaxWaitMillis = 20
			for _, t := range forget {
				f := kmsg.NewFetchRequestForgottenTopic()
				f.Topic, f.TopicID, f.Partitions = t.name, t.id, []int32{0}
				req.ForgottenTopics = append(req.ForgottenTopics, f)
			}
			if resp, ok := s.Ask(label, v, req).(*kmsg.FetchResponse); ok && resp.SessionID != 0 {
				session = resp.SessionID
			}
		}
		ask("full", 0, 0, nil, fetchReq(a, 0).Topics[0], fetchReq(b, 0).Topics[0])
		id := session
		ask("nothing new but the same offset", id, 1, nil)
		ask("further", id, 2, nil, fetchReq(a, 1).Topics[0])
		ask("nothing", id, 3, nil)
		fill(s, b, script.Batch{Records: script.Values("2")})
		ask("one has news", id, 4, nil)
		ask("forget it", id, 5, []target{b})
		ask("forgotten", id, 6, nil)
		ask("forget a stranger", id, 7, []target{{"session-none", [16]byte{4}}})
		ask("wrong epoch", id, 3, nil)
		ask("right epoch behind a wrong one", id, 8, nil)
		ask("add an unknown topic", id, 9, nil, fetchReq(target{"session-none", [16]byte{4}}, 0).Topics[0])
		ask("it stays", id, 10, nil)
		ask("unknown session", 123456789, 1, nil)
		ask("close", id, -1, nil)
		ask("closed", id, 11, nil)
		ask("session without an id", 0, 5, nil)
	}
}
