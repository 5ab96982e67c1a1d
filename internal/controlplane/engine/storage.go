package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/weir-stream/weir/internal/config"
)

// Formatted says whether storage belongs to the broker already; storage of
// another cluster or broker is an error, never overwritten.
func Formatted(data, cluster string, id int32) (bool, error) {
	file := filepath.Join(data, "meta.properties")
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	props, err := config.ParseProperties(text)
	if err != nil {
		return false, fmt.Errorf("%s: %w", file, err)
	}
	has := props.Map()
	if has["cluster.id"] != cluster || has["node.id"] != fmt.Sprint(id) {
		return false, fmt.Errorf("%s belongs to node %s of cluster %s: move that folder away", data, has["node.id"], has["cluster.id"])
	}
	return true, nil
}

// LastLines is the end of what a tool printed, for an error message.
func LastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
