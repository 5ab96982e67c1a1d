package handler

import (
	"strconv"

	"github.com/weir-stream/weir/internal/wire"
)

// message is an error as clients get to read it: nothing for a bare code, whose name they know.
func message(err error) string {
	if err == nil {
		return ""
	}
	if _, bare := err.(wire.Code); bare {
		return ""
	}
	return err.Error()
}

func itoa(n int) string { return strconv.Itoa(n) }
