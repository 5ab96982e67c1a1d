package handler

import (
	"strconv"
	"strings"

	"github.com/weir-stream/weir/internal/wire"
)

// message is an error as clients get to read it: without its code, whose name they know; nothing for a bare code.
func message(err error) string {
	if err == nil {
		return ""
	}
	if _, bare := err.(wire.Code); bare {
		return ""
	}
	return strings.TrimSuffix(err.Error(), ": "+wire.CodeOf(err).Name())
}

func itoa(n int) string { return strconv.Itoa(n) }
