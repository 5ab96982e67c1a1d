package client

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var isoDuration = regexp.MustCompile(`^([-+]?)P(?:([-+]?\d+)D)?(T(?:([-+]?\d+)H)?(?:([-+]?\d+)M)?(?:([-+]?\d+)(?:[.,](\d{0,9}))?S)?)?$`)

// ParseDuration reads an ISO-8601 duration of days and times ("P7D", "PT1H30M"), as Java's Duration does.
func ParseDuration(text string) (time.Duration, error) {
	m := isoDuration.FindStringSubmatch(strings.ToUpper(text))
	if m == nil || m[3] == "T" || (m[2] == "" && m[3] == "") {
		return 0, fmt.Errorf("Text cannot be parsed to a Duration")
	}
	var total time.Duration
	for i, unit := range map[int]time.Duration{2: 24 * time.Hour, 4: time.Hour, 5: time.Minute, 6: time.Second} {
		if m[i] == "" {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimPrefix(m[i], "+"), 10, 64)
		if err != nil || (n != 0 && (time.Duration(n)*unit)/unit != time.Duration(n)) {
			return 0, fmt.Errorf("Text cannot be parsed to a Duration")
		}
		total += time.Duration(n) * unit
	}
	if m[7] != "" {
		nanos, _ := strconv.ParseInt((m[7] + "000000000")[:9], 10, 64)
		if strings.HasPrefix(m[6], "-") {
			nanos = -nanos
		}
		total += time.Duration(nanos)
	}
	if m[1] == "-" {
		total = -total
	}
	return total, nil
}
