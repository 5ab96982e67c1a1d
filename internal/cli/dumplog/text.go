package dumplog

import (
	"strings"
	"unicode/utf8"
)

// javaText is bytes as Java's UTF-8 decoder makes a string of them: each longest beginning of a character that is not
// continued becomes one U+FFFD.
func javaText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var out strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			n = brokenLen(b)
		}
		out.WriteRune(r)
		b = b[n:]
	}
	return out.String()
}

// brokenLen is how many bytes at the start of b begin a character that they do not complete, at least 1.
func brokenLen(b []byte) int {
	for n := min(3, len(b)); n > 1; n-- {
		if prefixOfRune(b[:n]) {
			return n
		}
	}
	return 1
}

// prefixOfRune tells whether some valid character starts with p, which is 2 or 3 bytes long and no character itself.
func prefixOfRune(p []byte) bool {
	low, high := byte(0x80), byte(0xbf)
	switch c := p[0]; {
	case c >= 0xe0 && c <= 0xef && len(p) == 2:
		if c == 0xe0 {
			low = 0xa0
		} else if c == 0xed {
			high = 0x9f
		}
	case c >= 0xf0 && c <= 0xf4:
		if c == 0xf0 {
			low = 0x90
		} else if c == 0xf4 {
			high = 0x8f
		}
	default:
		return false
	}
	return p[1] >= low && p[1] <= high && (len(p) == 2 || p[2]&0xc0 == 0x80)
}
