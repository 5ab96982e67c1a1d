package controller

import mr "github.com/weir-stream/weir/internal/metarecord"

// Bootstrap is what a new cluster's metadata begins with, and where that was read.
type Bootstrap struct {
	Records []mr.Versioned
	// Source is for the log, e.g. "format command".
	Source string
}
