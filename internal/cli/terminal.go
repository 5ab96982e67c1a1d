package cli

import "os"

// isTerminal tells whether v, a reader or writer, is a terminal with a person before it.
func isTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && isTerminalFD(int(f.Fd()))
}
