package dumplog

import "slices"

// JavaError is an exception of Kafka's tool that nobody catches.
type JavaError struct {
	Class   string
	Message string
}

// Error is the first line of the exception's trace.
func (e *JavaError) Error() string {
	if e.Message == "" {
		return e.Class
	}
	return e.Class + ": " + e.Message
}

// findings are pairs of numbers that should have matched, by file. The zero value is ready for use.
type findings struct {
	order []string
	pairs map[string][][2]int64
}

func (f *findings) add(file string, a, b int64) {
	if f.pairs == nil {
		f.pairs = map[string][][2]int64{}
	}
	if _, ok := f.pairs[file]; !ok {
		f.order = append(f.order, file)
	}
	f.pairs[file] = append(f.pairs[file], [2]int64{a, b})
}

// sort orders a file's pairs by the first number, as compare says; of several with the same the last one is kept.
func (f *findings) sort(compare func(a, b int64) int) {
	for file, pairs := range f.pairs {
		slices.SortStableFunc(pairs, func(a, b [2]int64) int { return compare(a[0], b[0]) })
		kept := pairs[:0]
		for i, p := range pairs {
			if i+1 == len(pairs) || pairs[i+1][0] != p[0] {
				kept = append(kept, p)
			}
		}
		f.pairs[file] = kept
	}
}
