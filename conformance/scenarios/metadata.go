package scenarios

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

func apiVersions(s *script.Session) {
	ask := func(label string, version int16, name, software string) {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = name, software
		s.Ask(label, version, req)
		s.Drop()
	}
	for v := range int16(5) {
		ask("plain", v, "kwire", "1.0")
	}
	ask("empty name", 3, "", "1.0")
	ask("name with a space", 3, "a b", "1.0")
	ask("version ends in a dash", 3, "kwire", "1-")

	// A version that nobody has is answered at version 0, so that the client can begin again.
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "kwire", "1.0"
	req.SetVersion(4)
	frame := s.Conn().Frame(req, 77)
	frame[7] = 99
	c := s.NewConn()
	if err := c.Write(frame); err != nil {
		s.Note("version 99", err.Error())
		return
	}
	answer, err := c.ReadFrame(c.Timeout)
	if err != nil || len(answer) < 4 {
		s.Note("version 99", "no answer")
		return
	}
	resp := kmsg.NewPtrApiVersionsResponse()
	if err := resp.ReadFrom(answer[4:]); err != nil {
		s.Note("version 99", err.Error())
		return
	}
	s.Record("version 99", resp)
}

func metadataReq(topics ...kmsg.MetadataRequestTopic) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = topics
	return req
}

func byName(name string) kmsg.MetadataRequestTopic {
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &name
	return t
}

func byID(id [16]byte) kmsg.MetadataRequestTopic {
	t := kmsg.NewMetadataRequestTopic()
	t.TopicID = id
	return t
}

func metadata(s *script.Session) {
	one := createTarget(s, "metadata-one", 2)
	createTarget(s, "metadata-two", 1)
	each(s, kmsg.Metadata, func(v int16) {
		s.Ask("named", v, metadataReq(byName("metadata-one"), byName("metadata-two")))
		s.Ask("twice", v, metadataReq(byName("metadata-one"), byName("metadata-one")))
		s.Ask("none", v, metadataReq([]kmsg.MetadataRequestTopic{}...))
		if v >= 1 {
			req := metadataReq()
			req.Topics = []kmsg.MetadataRequestTopic{}
			s.Ask("empty list", v, req)
		}
		if v >= 4 {
			req := metadataReq(byName("metadata-missing"))
			s.Ask("missing, no creation", v, req)
			s.Ask("bad name", v, metadataReq(byName("no/slash"), byName("")))
		}
		if v >= 8 {
			req := metadataReq(byName("metadata-one"))
			req.IncludeClusterAuthorizedOperations = v <= 10
			req.IncludeTopicAuthorizedOperations = true
			s.Ask("operations", v, req)
		}
		if v >= 10 {
			s.Ask("by id", v, metadataReq(byID(one.id)))
			s.Ask("by unknown id", v, metadataReq(byID([16]byte{1, 2, 3})))
			s.Ask("neither", v, metadataReq(byID([16]byte{})))
			both := byName("metadata-one")
			both.TopicID = one.id
			s.Ask("both", v, metadataReq(both))
			s.Ask("mixed", v, metadataReq(byID(one.id), byName("metadata-two")))
		}
	})
	auto := metadataReq(byName("metadata-auto"))
	auto.AllowAutoTopicCreation = true
	s.Ask("created on the way", 9, auto)
	bad := metadataReq(byName("bad name"))
	bad.AllowAutoTopicCreation = true
	s.Ask("not created on the way", 9, bad)
	describeTopicPartitions(s)
}

func describeTopicPartitions(s *script.Session) {
	ask := func(label string, limit int32, cursor *kmsg.DescribeTopicPartitionsRequestCursor, topics ...string) {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.ResponsePartitionLimit, req.Cursor = limit, cursor
		for _, name := range topics {
			t := kmsg.NewDescribeTopicPartitionsRequestTopic()
			t.Topic = name
			req.Topics = append(req.Topics, t)
		}
		s.Ask("partitions: "+label, 0, req)
	}
	cursor := func(topic string, p int32) *kmsg.DescribeTopicPartitionsRequestCursor {
		c := kmsg.NewDescribeTopicPartitionsRequestCursor()
		c.Topic, c.Partition = topic, p
		return &c
	}
	ask("two", 2000, nil, "metadata-one", "metadata-two")
	ask("missing", 2000, nil, "metadata-missing")
	ask("limit 1", 1, nil, "metadata-one", "metadata-two")
	ask("limit 0", 0, nil, "metadata-one")
	ask("from a cursor", 2000, cursor("metadata-one", 1), "metadata-one", "metadata-two")
	ask("a cursor behind all", 2000, cursor("zzz", 0), "metadata-one")
	ask("a negative cursor", 2000, cursor("metadata-one", -1), "metadata-one")
}

func cluster(s *script.Session) {
	each(s, kmsg.DescribeCluster, func(v int16) {
		req := kmsg.NewPtrDescribeClusterRequest()
		s.Ask("brokers", v, req)
		req.IncludeClusterAuthorizedOperations = true
		s.Ask("operations", v, req)
		if v >= 1 {
			req.EndpointType = 2
			s.Ask("controllers", v, req)
			req.EndpointType = 7
			s.Ask("endpoint type 7", v, req)
		}
	})
}
