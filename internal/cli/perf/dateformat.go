package perf

import (
	"fmt"
	"strings"
	"time"
)

// FormatDate writes a time as Java's SimpleDateFormat does. Letters are the pattern's fields and repeat for width; text
// stands in single quotes. It refuses letters that Java refuses, and era and week fields, which it does not have.
func FormatDate(pattern string, t time.Time) (string, error) {
	var out strings.Builder
	for i := 0; i < len(pattern); {
		c := pattern[i]
		switch {
		case c == '\'':
			n, text := quotedText(pattern[i:])
			out.WriteString(text)
			i += n
			continue
		case !letter(c):
			out.WriteByte(c)
			i++
			continue
		}
		width := 1
		for i+width < len(pattern) && pattern[i+width] == c {
			width++
		}
		text, ok := dateField(c, width, t)
		if !ok {
			return "", fmt.Errorf("Illegal pattern character '%c'", c)
		}
		out.WriteString(text)
		i += width
	}
	return out.String(), nil
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// quotedText reads 'text' at the start of s, in which two quotes are one; so are two quotes alone.
func quotedText(s string) (length int, text string) {
	if strings.HasPrefix(s, "''") {
		return 2, "'"
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] != '\'':
			b.WriteByte(s[i])
		case i+1 < len(s) && s[i+1] == '\'':
			b.WriteByte('\'')
			i++
		default:
			return i + 1, b.String()
		}
	}
	return len(s), b.String()
}

func dateField(c byte, width int, t time.Time) (string, bool) {
	number := func(n int) (string, bool) { return fmt.Sprintf("%0*d", width, n), true }
	name := func(long string) (string, bool) {
		if width >= 4 {
			return long, true
		}
		return long[:3], true
	}
	switch c {
	case 'y':
		if width == 2 {
			return fmt.Sprintf("%02d", t.Year()%100), true
		}
		return number(t.Year())
	case 'M', 'L':
		if width >= 3 {
			return name(t.Month().String())
		}
		return number(int(t.Month()))
	case 'd':
		return number(t.Day())
	case 'D':
		return number(t.YearDay())
	case 'E':
		return name(t.Weekday().String())
	case 'u':
		return number((int(t.Weekday())+6)%7 + 1)
	case 'a':
		return t.Format("PM"), true
	case 'H':
		return number(t.Hour())
	case 'k':
		return number((t.Hour()+23)%24 + 1)
	case 'K':
		return number(t.Hour() % 12)
	case 'h':
		return number((t.Hour()+11)%12 + 1)
	case 'm':
		return number(t.Minute())
	case 's':
		return number(t.Second())
	case 'S':
		return number(t.Nanosecond() / 1e6)
	case 'z':
		return t.Format("MST"), true
	case 'Z':
		return t.Format("-0700"), true
	case 'X':
		return t.Format([]string{"Z07", "Z0700", "Z07:00"}[min(width, 3)-1]), true
	}
	return "", false
}
