package wire

import (
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fill sets every field that it can reach to something that is not its zero, with arrays of n elements.
func fill(v reflect.Value, rng *rand.Rand, n int) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.Type().Elem().Kind() == reflect.Map {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), rng, n)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Name != "Version" && f.Name != "UnknownTags" {
				fill(v.Field(i), rng, n)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(v.Index(i), rng, n)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), rng, n)
		}
	case reflect.String:
		v.SetString("abcdefg"[:1+rng.IntN(6)])
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(rng.Float64())
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		v.SetInt(int64(rng.IntN(100)))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(rng.IntN(100)))
	}
}

// eachVersion calls f for every request and version of the schemas that kmsg knows.
func eachVersion(t *testing.T, f func(t *testing.T, key, version int16, req kmsg.Request)) {
	for key := range schemas {
		s := schemas[key]
		if s == nil {
			continue
		}
		req := kmsg.RequestForKey(int16(key))
		if req == nil {
			t.Errorf("kmsg has no request %d %s", key, s.name)
			continue
		}
		for version := int16(0); version <= req.MaxVersion(); version++ {
			req := kmsg.RequestForKey(int16(key))
			req.SetVersion(version)
			f(t, int16(key), version, req)
		}
	}
}

// lowest is the first version that Kafka 4 still describes, for the requests whose older versions are gone.
func lowest(key int16) int16 {
	switch key {
	case 0:
		return 3
	case 1:
		return 4
	case 2, 9, 20, 27, 29, 30, 31, 32, 34, 35, 38, 39, 40, 41, 76, 77, 78, 79:
		return 1
	case 8, 19, 23, 56:
		return 2
	}
	return 0
}

func TestWalkAcceptsWhatKmsgWrites(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	eachVersion(t, func(t *testing.T, key, version int16, req kmsg.Request) {
		if version < lowest(key) {
			return
		}
		for n := range 4 {
			fill(reflect.ValueOf(req).Elem(), rng, n)
			req.SetVersion(version)
			body := req.AppendTo(nil)
			if _, err := CheckBody(key, version, body, 1<<20); err != nil {
				t.Errorf("%s version %d with arrays of %d: %v", APIName(key), version, n, err)
				continue
			}
			// One byte less is always noticed.
			if len(body) > 0 {
				if _, err := CheckBody(key, version, body[:len(body)-1], 1<<20); err == nil {
					t.Errorf("%s version %d: a missing byte was not noticed", APIName(key), version)
				}
			}
			if FlexibleRequest(key, version) != req.IsFlexible() {
				t.Errorf("%s version %d: flexible differs", APIName(key), version)
			}
		}
	})
}

// minimal builds a request in which one array, at the given depth first, has as many of the smallest elements as fit
// into size bytes.
type minimal struct {
	p        []byte
	version  int16
	flexible bool
	size     int
	skip     int // how many arrays to leave empty before the big one
}

func (m *minimal) fields(fields []field) {
	for i := range fields {
		f := &fields[i]
		if m.version < f.min || m.version > f.max || m.version >= f.tagMin {
			continue
		}
		if !f.array {
			m.value(f)
			continue
		}
		if m.skip != 0 {
			m.skip--
			// One element, so that arrays within it are reached.
			m.count(1)
			m.value(f)
			continue
		}
		m.skip--
		at := len(m.p)
		one := minimal{version: m.version, flexible: m.flexible, skip: 1 << 30}
		one.empty(f)
		n := max(1, (m.size-at)/max(1, len(one.p)))
		m.count(n)
		for range n {
			m.p = append(m.p, one.p...)
		}
	}
	if m.flexible {
		m.p = append(m.p, 0)
	}
}

func (m *minimal) count(n int) {
	if m.flexible {
		m.p = binary.AppendUvarint(m.p, uint64(n+1))
	} else {
		m.p = binary.BigEndian.AppendUint32(m.p, uint32(n))
	}
}

// empty writes the shortest value of f.
func (m *minimal) empty(f *field) {
	if f.kind != kindStruct {
		m.value(f)
		return
	}
	if f.nullMin <= m.version && !f.array {
		m.p = append(m.p, 0xff)
		return
	}
	for i := range f.fields {
		g := &f.fields[i]
		if m.version < g.min || m.version > g.max || m.version >= g.tagMin {
			continue
		}
		if g.array {
			m.count(0)
		} else {
			m.empty(g)
		}
	}
	if m.flexible {
		m.p = append(m.p, 0)
	}
}

func (m *minimal) value(f *field) {
	switch f.kind {
	case kindFixed:
		m.p = append(m.p, make([]byte, f.width)...)
	case kindString:
		if m.flexible {
			m.p = append(m.p, 1)
		} else {
			m.p = append(m.p, 0, 0)
		}
	case kindBytes:
		m.count(0)
	case kindStruct:
		if !f.array && f.nullMin <= m.version && m.version <= f.nullMax {
			m.p = append(m.p, 1)
		}
		m.fields(f.fields)
	}
}

// Whatever a frame declares, decoding allocates no more than CheckBody says, and CheckBody allows no more than its
// limit.
func TestDecodingStaysWithinItsEstimate(t *testing.T) {
	const size = 64 << 10
	worst := 0.0
	eachVersion(t, func(t *testing.T, key, version int16, req kmsg.Request) {
		if version < lowest(key) || version != req.MaxVersion() && version != lowest(key) {
			return
		}
		s := schemas[key]
		for skip := range 12 {
			m := minimal{version: version, flexible: version >= s.flexible, size: size, skip: skip}
			m.fields(s.fields)
			if m.skip >= 0 {
				break // no more arrays
			}
			cost, err := CheckBody(key, version, m.p, 1<<30)
			if err != nil {
				t.Errorf("%s version %d array %d: %v", s.name, version, skip, err)
				return
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err = req.ReadFrom(m.p)
			runtime.ReadMemStats(&after)
			if err != nil {
				t.Errorf("%s version %d array %d: kmsg: %v", s.name, version, skip, err)
			}
			grown := int(after.TotalAlloc - before.TotalAlloc)
			worst = max(worst, float64(cost)/float64(len(m.p)))
			// The allocator rounds sizes up, and kmsg makes a slice twice where the compiler does not see through it.
			if grown > 3*cost+32<<10 {
				t.Errorf("%s version %d array %d: a body of %d bytes allocated %d, estimated %d", s.name, version, skip, len(m.p), grown, cost)
			}
			if _, err := CheckBody(key, version, m.p, cost-1); err == nil {
				t.Errorf("%s version %d array %d: the limit was not kept", s.name, version, skip)
			}
		}
	})
	t.Logf("the worst request needs %.0f times its size", worst)
}

func TestWalkRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		key, version int16
		body         []byte
	}{
		"negative count":      {3, 1, []byte{0xff, 0xff, 0xff, 0xfe}},
		"count beyond bytes":  {3, 1, []byte{0x00, 0x00, 0x00, 0x09, 0}},
		"null array":          {20, 1, []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}},
		"null string":         {17, 0, []byte{0xff, 0xff}},
		"overlong varint":     {18, 3, []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x01}},
		"billions of tags":    {18, 3, []byte{1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f}},
		"tags out of order":   {18, 3, []byte{1, 1, 2, 5, 0, 4, 0}},
		"tag beyond bytes":    {18, 3, []byte{1, 1, 1, 5, 9}},
		"tag with rest":       {1, 12, append(make([]byte, 25), 1, 1, 1, 1, 0, 3, 1, 'a', 'b')},
		"unknown api":         {999, 0, nil},
		"negative api":        {-1, 0, nil},
		"empty where it must": {3, 0, nil},
	} {
		if cost, err := CheckBody(c.key, c.version, c.body, 1<<20); err == nil {
			t.Errorf("%s: accepted at a cost of %d", name, cost)
		}
	}
}

func FuzzDecodeBody(f *testing.F) {
	rng := rand.New(rand.NewPCG(3, 4))
	for key := range schemas {
		if req := kmsg.RequestForKey(int16(key)); schemas[key] != nil && req != nil {
			for _, version := range []int16{lowest(int16(key)), req.MaxVersion()} {
				fill(reflect.ValueOf(req).Elem(), rng, 2)
				req.SetVersion(version)
				f.Add(int16(key), version, req.AppendTo(nil))
			}
		}
	}
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		if version < 0 {
			return
		}
		req, err := DecodeBody(key, version, body, 1<<20)
		if err != nil {
			return
		}
		if version > req.MaxVersion() || version < lowest(key) {
			return
		}
		again := req.AppendTo(nil)
		if _, err := DecodeBody(key, version, again, 4<<20); err != nil {
			t.Fatalf("%s version %d: what was decoded does not decode again: %v", APIName(key), version, err)
		}
	})
}

func TestParseHeaderRefuses(t *testing.T) {
	for name, frame := range map[string][]byte{
		"too short":              {0, 18, 0, 0, 0, 0, 0, 1, 0},
		"client id beyond":       {0, 18, 0, 0, 0, 0, 0, 1, 0, 2, 'a'},
		"client id of -2":        {0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xfe, 'a'},
		"no tags where they are": {0, 18, 0, 3, 0, 0, 0, 1, 0xff, 0xff},
		"many tags":              {0, 18, 0, 3, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x7f},
	} {
		if h, err := ParseHeader(frame); err == nil {
			t.Errorf("%s: accepted as %+v", name, h)
		}
	}
}

func FuzzParseHeader(f *testing.F) {
	f.Add(kmsg.NewRequestFormatter(kmsg.FormatterClientID("x")).AppendRequest(nil, kmsg.NewPtrMetadataRequest(), 1)[4:])
	f.Add([]byte{0, 18, 0, 3, 0, 0, 0, 1, 0, 1, 'a', 1, 0, 1, 'x', 9})
	f.Fuzz(func(t *testing.T, frame []byte) {
		h, err := ParseHeader(frame)
		if err != nil {
			return
		}
		if len(h.Body) > len(frame)-10-len(h.ClientID) {
			t.Fatal("a body out of nowhere")
		}
	})
}
