package watch

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// Limits of one scrape's body.
const (
	maxBody = 32 << 20
	maxLine = 64 << 10
)

var errTooMuch = fmt.Errorf("a broker sent more than %d MiB of metrics", maxBody>>20)

// pair is a label.
type pair struct{ name, value string }

// readText reads Prometheus' text format and hands over the samples whose name
// is wanted. Timestamps are ignored: the time of a sample is that of its scrape.
// What is no number that can be drawn (NaN, infinite) is left out. It returns
// how many samples there were in all.
func readText(r io.Reader, wanted func(name []byte) bool, emit func(name string, labels []pair, v float64)) (int, error) {
	limited := &io.LimitedReader{R: r, N: maxBody + 1}
	lines := bufio.NewScanner(limited)
	lines.Buffer(make([]byte, 0, 8<<10), maxLine)
	n := 0
	for lines.Scan() {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		n++
		end := bytes.IndexAny(line, "{ \t")
		if end <= 0 {
			return n, fmt.Errorf("no metric: %.80q", line)
		}
		if !wanted(line[:end]) {
			continue
		}
		labels, rest, err := readLabels(line[end:])
		if err != nil {
			return n, fmt.Errorf("%w: %.80q", err, line)
		}
		fields := bytes.Fields(rest)
		if len(fields) == 0 {
			return n, fmt.Errorf("no value: %.80q", line)
		}
		v, err := strconv.ParseFloat(string(fields[0]), 64)
		if err != nil {
			return n, fmt.Errorf("no number: %.80q", line)
		}
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			emit(string(line[:end]), labels, v)
		}
	}
	if limited.N <= 0 {
		return n, errTooMuch
	}
	return n, lines.Err()
}

var errLabels = errors.New("damaged labels")

// readLabels reads {a="b",c="d"} if there is one, and returns what follows.
func readLabels(b []byte) (out []pair, rest []byte, err error) {
	if b[0] != '{' {
		return nil, b, nil
	}
	b = b[1:]
	for {
		b = bytes.TrimLeft(b, " \t,")
		if len(b) > 0 && b[0] == '}' {
			return out, b[1:], nil
		}
		eq := bytes.IndexByte(b, '=')
		if eq <= 0 {
			return nil, nil, errLabels
		}
		name := string(bytes.TrimSpace(b[:eq]))
		b = bytes.TrimLeft(b[eq+1:], " \t")
		if len(b) == 0 || b[0] != '"' {
			return nil, nil, errLabels
		}
		value, after, ok := readQuoted(b[1:])
		if !ok {
			return nil, nil, errLabels
		}
		out, b = append(out, pair{name, value}), after
	}
}

// readQuoted reads up to the closing quote; a backslash escapes a quote, a
// backslash and, as n, a line end.
func readQuoted(b []byte) (value string, rest []byte, ok bool) {
	var text []byte
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == '"':
			return string(text), b[i+1:], true
		case b[i] == '\\' && i+1 < len(b):
			i++
			if b[i] == 'n' {
				text = append(text, '\n')
				continue
			}
			fallthrough
		default:
			text = append(text, b[i])
		}
	}
	return "", nil, false
}
