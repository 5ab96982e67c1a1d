package admin

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestAccessRoundTrip(t *testing.T) {
	file := filepath.Join(t.TempDir(), "client.properties")
	for _, want := range []Access{
		{Bootstrap: []string{"127.0.0.1:1", "127.0.0.1:2"}},
		{Bootstrap: []string{"127.0.0.1:1"}, CAFile: `/a dir\x/ca.pem`, User: "app-1", Password: "ABC"},
	} {
		if err := os.WriteFile(file, want.Properties(), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadAccess(file)
		if err != nil || got.CAFile != want.CAFile || got.User != want.User || got.Password != want.Password || !slices.Equal(got.Bootstrap, want.Bootstrap) {
			t.Errorf("%+v %v", got, err)
		}
	}
}

func TestAccessIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "client.properties")
	for text, want := range map[string]string{
		"": "bootstrap.servers",
		"bootstrap.servers=x:1\nsecurity.protocol=SSL":      "SASL_SSL",
		"bootstrap.servers=x:1\nsecurity.protocol=SASL_SSL": "SCRAM-SHA-512",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadAccess(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := (Access{Bootstrap: []string{"x:1"}, CAFile: file}).Options(); err == nil {
		t.Error("a CA file without certificates was taken")
	}
}
