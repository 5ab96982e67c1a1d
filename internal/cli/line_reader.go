package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/cli/client"
)

// lineReader turns lines into records: headers, key and value with separators between them, as the properties of
// Kafka's LineMessageReader say. Bytes that are not UTF-8 are kept. It is owned by one goroutine.
type lineReader struct {
	in     *bufio.Reader
	prompt func()

	parseKey, parseHeaders, ignoreError                                   bool
	keySeparator, headersDelimiter, headersSeparator, headersKeySeparator string
	headersPattern                                                        *regexp.Regexp
	nullMarker                                                            string
	hasNullMarker                                                         bool
	skipLineFeed                                                          bool // the last line ended in a carriage return: a line feed would belong to it
	lineNumber                                                            int
}

func newLineReader(in io.Reader, settings client.Properties) (*lineReader, error) {
	r := &lineReader{in: bufio.NewReaderSize(in, 64<<10), prompt: func() {}}
	isTrue := func(key string) bool { return strings.EqualFold(strings.TrimSpace(settings[key]), "true") }
	text := func(key, def string) string {
		if v, ok := settings[key]; ok {
			return v
		}
		return def
	}
	r.parseKey, r.parseHeaders, r.ignoreError = isTrue("parse.key"), isTrue("parse.headers"), isTrue("ignore.error")
	r.keySeparator = text("key.separator", "\t")
	r.headersDelimiter = text("headers.delimiter", "\t")
	r.headersSeparator = text("headers.separator", ",")
	r.headersKeySeparator = text("headers.key.separator", ":")
	r.nullMarker, r.hasNullMarker = settings["null.marker"]
	if err := r.checkSeparators(); err != nil {
		return nil, err
	}
	var err error
	if r.headersPattern, err = regexp.Compile(r.headersSeparator); err != nil {
		return nil, &client.Error{Class: "java.util.regex.PatternSyntaxException", Message: err.Error()}
	}
	return r, nil
}

func (r *lineReader) checkSeparators() error {
	type named struct{ name, value string }
	delimiter := named{"headers.delimiter", r.headersDelimiter}
	separator := named{"headers.separator", r.headersSeparator}
	keySeparator := named{"headers.key.separator", r.headersKeySeparator}
	pairs := [][2]named{{delimiter, separator}, {delimiter, keySeparator}, {separator, keySeparator}}
	if r.hasNullMarker {
		marker := named{"null.marker", r.nullMarker}
		pairs = append(pairs, [2]named{marker, {"key.separator", r.keySeparator}}, [2]named{marker, separator},
			[2]named{marker, delimiter}, [2]named{marker, keySeparator})
	}
	for _, p := range pairs {
		if p[0].value == p[1].value {
			return &client.Error{Class: "org.apache.kafka.common.KafkaException", Message: p[0].name + " and " + p[1].name + " may not be equal"}
		}
	}
	return nil
}

// next is the record of the next line; nil, nil at the end.
func (r *lineReader) next() (*kgo.Record, error) {
	r.lineNumber++
	r.prompt()
	line, ok, err := r.line()
	if !ok {
		return nil, err
	}
	return r.record(line)
}

// line reads up to a line feed, carriage return, or both. The last line needs none.
func (r *lineReader) line() (string, bool, error) {
	var b strings.Builder
	for {
		next, err := r.in.Peek(1)
		if r.skipLineFeed && err == nil {
			if r.skipLineFeed = false; next[0] == '\n' {
				_, _ = r.in.Discard(1)
				continue
			}
		}
		if err == io.EOF {
			return b.String(), b.Len() > 0, nil
		}
		if err != nil {
			return "", false, fmt.Errorf("read standard input: %w", err)
		}
		buffered, _ := r.in.Peek(r.in.Buffered())
		end := bytes.IndexAny(buffered, "\r\n")
		if end < 0 {
			b.Write(buffered)
			_, _ = r.in.Discard(len(buffered))
			continue
		}
		b.Write(buffered[:end])
		carriageReturn := buffered[end] == '\r'
		_, _ = r.in.Discard(end + 1)
		if carriageReturn {
			r.skipLineFeed = true
		}
		return b.String(), true, nil
	}
}

func (r *lineReader) record(line string) (*kgo.Record, error) {
	rec := &kgo.Record{}
	rest := line
	headers, hasHeaders, err := r.part(r.parseHeaders, &rest, line, r.headersDelimiter, "headers delimiter")
	if err != nil {
		return nil, err
	}
	key, hasKey, err := r.part(r.parseKey, &rest, line, r.keySeparator, "key separator")
	if err != nil {
		return nil, err
	}
	if hasHeaders && !r.isNull(headers) {
		if rec.Headers, err = r.headers(headers); err != nil {
			return nil, err
		}
	}
	if hasKey && !r.isNull(key) {
		rec.Key = []byte(key)
	}
	if !r.isNull(rest) {
		rec.Value = []byte(rest)
	}
	return rec, nil
}

func (r *lineReader) isNull(text string) bool { return r.hasNullMarker && text == r.nullMarker }

// part takes what stands before a separator off rest.
func (r *lineReader) part(wanted bool, rest *string, line, separator, name string) (text string, found bool, err error) {
	if !wanted {
		return "", false, nil
	}
	before, after, ok := strings.Cut(*rest, separator)
	if !ok {
		if r.ignoreError {
			return "", false, nil
		}
		return "", false, r.failf("No %s found on line number %d: '%s'", name, r.lineNumber, line)
	}
	*rest = after
	return before, true, nil
}

func (r *lineReader) failf(format string, args ...any) error {
	return &client.Error{Class: "org.apache.kafka.common.KafkaException", Message: fmt.Sprintf(format, args...)}
}

func (r *lineReader) headers(text string) ([]kgo.RecordHeader, error) {
	pairs := r.headersPattern.Split(text, -1)
	for len(pairs) > 1 && pairs[len(pairs)-1] == "" { // as Java splits
		pairs = pairs[:len(pairs)-1]
	}
	var headers []kgo.RecordHeader
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, r.headersKeySeparator)
		switch {
		case !ok && r.ignoreError:
			headers = append(headers, kgo.RecordHeader{Key: pair})
			continue
		case !ok:
			return nil, r.failf("No header key separator found in pair '%s' on line number %d", pair, r.lineNumber)
		case r.isNull(key):
			return nil, r.failf("Header keys should not be equal to the null marker '%s' as they can't be null", r.nullMarker)
		}
		h := kgo.RecordHeader{Key: key}
		if !r.isNull(value) {
			h.Value = []byte(value)
		}
		headers = append(headers, h)
	}
	return headers, nil
}
