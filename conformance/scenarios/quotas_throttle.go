package scenarios

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

// quotasThrottle goes beyond quotas and records for how long it is held back: whether that is what the quota makes of
// what was sent, some seconds less where a broker took its time.
func quotasThrottle(s *script.Session) {
	t := createTarget(s, "quotas-throttle", 1)
	fill(s, t, script.Batch{Records: script.Values(strings.Repeat("x", 40000))}, script.Batch{Records: script.Values(strings.Repeat("x", 40000))},
		script.Batch{Records: script.Values(strings.Repeat("x", 40000))})
	throttledProduce(s, t)
	throttledFetch(s, t)
	throttledMutations(s)
}

// hold sets a quota, waits until the broker knows it, and drops the connection, since one that is held back is not read.
func hold(s *script.Session, key string, value float64, entity ...string) {
	s.Drop()
	setQuota(s, entity, key, value)
	want := 1
	if value == gone {
		want = 0
	}
	s.Until("a quota", func() bool {
		resp, ok := s.Quiet(1, kmsg.NewPtrDescribeClientQuotasRequest()).(*kmsg.DescribeClientQuotasResponse)
		return ok && len(resp.Entries) == want
	})
	s.Drop()
}

// heldBack says about how long that is.
func heldBack(ms int32, want int) string {
	if s := float64(ms) / 1000; s > float64(want)+1 || s < float64(want)-4 || s == 0 != (want == 0) {
		return fmt.Sprintf("held back for %.1f s", s)
	}
	return fmt.Sprintf("held back for about %d s", want)
}

func throttledProduce(s *script.Session, t target) {
	big := script.Batch{Base: s.Base, Records: script.Values(strings.Repeat("x", 60000))}.Encode()
	sent := map[string]int{} // by whom it counts: in seconds of the quota, of which ten are free
	for _, entity := range [][]string{{"user", "ANONYMOUS"}, {"user", "<default>"}, {"client-id", "<default>"}, {"user", "<default>", "client-id", "<default>"}} {
		hold(s, "producer_byte_rate", 1000, entity...)
		_, hi := s.Versions(int16(kmsg.Produce))
		for v := int16(3); v <= hi; v += 5 {
			resp, ok := s.Quiet(v, produceReq(t, 1, big)).(*kmsg.ProduceResponse)
			if who := strings.Join(entity, " "); ok {
				if who == "user <default>" { // the user's sensor is there already
					who = "user ANONYMOUS"
				}
				sent[who] += 60
				s.Note(fmt.Sprintf("produce %v v%d", entity, v), fmt.Sprintf("error %d, %s", resp.Topics[0].Partitions[0].ErrorCode, heldBack(resp.ThrottleMillis, sent[who]-10)))
			}
			s.Drop()
		}
		hold(s, "producer_byte_rate", gone, entity...)
	}
}

func throttledFetch(s *script.Session, t target) {
	hold(s, "consumer_byte_rate", 5000, "user", "ANONYMOUS")
	note := func(label string, want int, resp kmsg.Response) *kmsg.FetchResponse {
		f, ok := resp.(*kmsg.FetchResponse)
		if !ok {
			s.Note(label, "no answer")
			return nil
		}
		bytes := 0
		for _, ft := range f.Topics {
			for _, p := range ft.Partitions {
				bytes += len(p.RecordBatches)
			}
		}
		s.Note(label, fmt.Sprintf("error %d, %d topics, %d bytes, %s, session %v", f.ErrorCode, len(f.Topics), bytes, heldBack(f.ThrottleMillis, want), f.SessionID != 0))
		return f
	}
	// One batch comes whatever the limit. Without a limit a broker may cut at the quota of the window and be just above it.
	one := func() *kmsg.FetchRequest {
		req := fetchReq(t, 0)
		req.Topics[0].Partitions[0].PartitionMaxBytes = 1000
		return req
	}
	req := one()
	req.SessionEpoch = 0
	first := note("fetch within the quota", 0, s.Quiet(12, req))
	if first == nil {
		return
	}
	req.SessionID, req.SessionEpoch = first.SessionID, 1
	note("fetch beyond the quota in a session", 6, s.Quiet(12, req))
	s.Drop()
	req.SessionEpoch = 5
	note("fetch in a wrong epoch", 0, s.Quiet(12, req))
	s.Drop()
	_, hi := s.Versions(int16(kmsg.Fetch))
	for v := int16(4); v <= hi; v += 7 {
		full := one()
		note(fmt.Sprintf("fetch beyond the quota v%d", v), 6, s.Quiet(v, full))
		s.Drop()
		full.SessionEpoch = 0
		note(fmt.Sprintf("fetch beyond the quota for a session v%d", v), 6, s.Quiet(v, full))
		s.Drop()
	}
	hold(s, "consumer_byte_rate", gone, "user", "ANONYMOUS")
}

func throttledMutations(s *script.Session) {
	// 1.1 partitions at once; what is beyond comes back at one in ten seconds.
	hold(s, "controller_mutation_rate", 0.1, "user", "ANONYMOUS")
	ask := func(label string, v int16, want int, names ...string) {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.TimeoutMillis = 10000
		for _, n := range names {
			ct := kmsg.NewCreateTopicsRequestTopic()
			ct.Topic, ct.NumPartitions, ct.ReplicationFactor = n, 4, 1
			req.Topics = append(req.Topics, ct)
		}
		if resp, ok := s.Quiet(v, req).(*kmsg.CreateTopicsResponse); ok {
			for _, rt := range resp.Topics {
				s.Note(fmt.Sprintf("%s: %s v%d", label, rt.Topic, v), fmt.Sprintf("error %d %s", rt.ErrorCode, text(rt.ErrorMessage)))
			}
			s.Note(fmt.Sprintf("%s v%d", label, v), heldBack(resp.ThrottleMillis, want))
		}
		s.Drop()
	}
	ask("a burst", 7, 0, "quotas-throttle-a")
	ask("beyond", 7, 29, "quotas-throttle-b")
	ask("beyond", 6, 29, "quotas-throttle-b", "quotas-throttle-a")
	ask("beyond, an old client", 5, 69, "quotas-throttle-c")
	more := func(v int16, want int) {
		req := kmsg.NewPtrCreatePartitionsRequest()
		req.TimeoutMillis = 10000
		req.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "quotas-throttle-a", Count: 6}}
		if resp, ok := s.Quiet(v, req).(*kmsg.CreatePartitionsResponse); ok {
			s.Note(fmt.Sprintf("more partitions v%d", v), fmt.Sprintf("error %d %s, %s", resp.Topics[0].ErrorCode, text(resp.Topics[0].ErrorMessage), heldBack(resp.ThrottleMillis, want)))
		}
		s.Drop()
	}
	more(3, 69)
	more(2, 89)
	del := func(v int16, want int) {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.TimeoutMillis, req.TopicNames = 10000, []string{"quotas-throttle-a"}
		if resp, ok := s.Quiet(v, req).(*kmsg.DeleteTopicsResponse); ok {
			s.Note(fmt.Sprintf("delete v%d", v), fmt.Sprintf("error %d %s, %s", resp.Topics[0].ErrorCode, text(resp.Topics[0].ErrorMessage), heldBack(resp.ThrottleMillis, want)))
		}
		s.Drop()
	}
	del(5, 89)
	del(4, 149)
	hold(s, "controller_mutation_rate", gone, "user", "ANONYMOUS")
}

func text(p *string) string {
	if p == nil {
		return "null"
	}
	return "'" + *p + "'"
}
