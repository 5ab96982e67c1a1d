package scenarios

import (
	"bytes"
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

// hostile sends bytes that no client sends. The connection may be closed; the
// broker goes on.
func hostile(s *script.Session) {
	metadata := metadataReq(byName("hostile"))
	metadata.SetVersion(9)
	good := s.Conn().Frame(metadata, 1)
	produce := produceReq(target{name: "hostile"}, 1, script.Batch{Base: s.Base, Records: script.Values("a")}.Encode())
	produce.SetVersion(7)
	produced := s.Conn().Frame(produce, 1)

	size := func(n uint32, body []byte) []byte {
		return append(binary.BigEndian.AppendUint32(nil, n), body...)
	}
	edit := func(frame []byte, at int, b ...byte) []byte {
		out := bytes.Clone(frame)
		copy(out[at:], b)
		return out
	}
	for label, raw := range inOrder(map[string][]byte{
		"size of 2 GiB":                 size(1<<31-1, good[4:]),
		"size beyond the limit":         size(104857601, good[4:]),
		"negative size":                 size(1<<31, good[4:]),
		"size 0":                        size(0, nil),
		"size 1":                        size(1, []byte{0}),
		"size 7":                        size(7, good[4:11]),
		"header only":                   size(8, good[4:12]),
		"a request cut off":             good[:len(good)-3],
		"a size too small":              size(uint32(len(good)-4-3), good[4:len(good)-3]),
		"bytes behind the request":      size(uint32(len(good)-4+5), append(bytes.Clone(good[4:]), 1, 2, 3, 4, 5)),
		"http":                          []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"half a tls hello":              {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03},
		"unknown api":                   edit(good, 4, 0x03, 0xe7),
		"negative api":                  edit(good, 4, 0xff, 0xff),
		"a controller's api":            edit(good, 4, 0, 52),
		"an api that is gone":           edit(good, 4, 0, 4),
		"version too high":              edit(good, 6, 0, 99),
		"negative version":              edit(good, 6, 0xff, 0xff),
		"client id of a lying length":   edit(good, 12, 0x7f, 0xff),
		"client id of a bad length":     edit(good, 12, 0xff, 0xfe),
		"topics of a lying count":       edit(good, len(good)-12, 0xff, 0xff, 0xff, 0xff, 0x07),
		"produce: count of topics":      edit(produced, 4+8+2+5+2+2+4, 0x7f, 0xff, 0xff, 0xff),
		"produce: negative topics":      edit(produced, 4+8+2+5+2+2+4, 0x80, 0, 0, 0),
		"produce: records lie":          edit(produced, len(produced)-len(produce.Topics[0].Partitions[0].Records)-4, 0x7f, 0xff, 0xff, 0xff),
		"produce: records lie a little": edit(produced, len(produced)-len(produce.Topics[0].Partitions[0].Records)-4, 0, 0, 0, 0xff),
		"zeros":                         make([]byte, 64),
	}) {
		s.Exchange(label, raw)
	}
	s.Ask("and goes on", 9, metadataReq(byName("hostile")))
	// Two requests in one write are answered in order.
	c := s.NewConn()
	both := append(c.Frame(metadata, 1), c.Frame(metadata, 2)...)
	if err := c.Write(both); err != nil {
		s.Note("two in one write", err.Error())
		return
	}
	for id := range int32(2) {
		resp, err := c.Receive(id+1, metadata)
		if err != nil {
			s.Note("two in one write", err.Error())
			return
		}
		s.Record("two in one write", resp.(*kmsg.MetadataResponse))
	}
}
