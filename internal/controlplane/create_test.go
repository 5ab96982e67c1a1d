package controlplane

import "testing"

// TestWeirVersion: a cluster says which build made it, and the version is one
// that specifications take.
func TestWeirVersion(t *testing.T) {
	for build, want := range map[string]string{
		"v1.2.3": "1.2.3", "v1.2.3-4-g4d1a595": "1.2.3-4-g4d1a595", "4d1a595-dirty": "0.0.0-4d1a595-dirty", "dev": "0.0.0-dev", "": "0.0.0-dev",
		"v0.0.0-20261128225500-4d1a595b3c6f+dirty": "0.0.0-20261128225500-4d1a595b3c6f+dirty", "v1.2.3-a b": "0.0.0-dev",
	} {
		if got := weirVersion(build); got != want {
			t.Errorf("%q: %s, want %s", build, got, want)
		}
	}
}
