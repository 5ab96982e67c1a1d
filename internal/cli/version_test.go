package cli

import (
	"runtime/debug"
	"testing"
)

func TestVersionOf(t *testing.T) {
	of := func(module string, settings ...debug.BuildSetting) string {
		return versionOf(&debug.BuildInfo{Main: debug.Module{Version: module}, Settings: settings})
	}
	commit := debug.BuildSetting{Key: "vcs.revision", Value: "4d1a595b3c6f0d6c2f5e"}
	for _, c := range []struct{ got, want string }{
		{of("v1.2.3", commit), "v1.2.3"},
		{of("v0.0.0-20261128225500-4d1a595b3c6f+dirty"), "v0.0.0-20261128225500-4d1a595b3c6f+dirty"},
		{of("(devel)", commit), "4d1a595"},
		{of("", commit, debug.BuildSetting{Key: "vcs.modified", Value: "true"}), "4d1a595-dirty"},
		{of("(devel)"), "dev"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}
