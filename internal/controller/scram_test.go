package controller

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/wire"
)

// Codes and sentences are those of Apache Kafka 4.3.1.
func TestAlterUserScramCredentials(t *testing.T) {
	k := newCluster(t)
	type op struct {
		user       string
		mechanism  int8
		iterations int32 // 0: deletion
	}
	for _, c := range []struct {
		ops  []op
		want string // user code message, …
	}{
		{[]op{{"alice", 2, 0}}, "alice RESOURCE_NOT_FOUND Attempt to delete a user credential that does not exist"},
		{[]op{{"alice", 2, 4096}, {"bob", 1, 16384}}, "alice NONE, bob NONE"},
		{[]op{{"alice", 2, 8192}}, "alice NONE"},
		{[]op{{"alice", 1, 0}}, "alice RESOURCE_NOT_FOUND Attempt to delete a user credential that does not exist"},
		{[]op{{"carol", 1, 4095}, {"dave", 1, 4096}}, "dave NONE, carol UNACCEPTABLE_CREDENTIAL Too few iterations"},
		{[]op{{"carol", 1, 16385}}, "carol UNACCEPTABLE_CREDENTIAL Too many iterations"},
		{[]op{{"carol", 3, 4096}}, "carol UNSUPPORTED_SASL_MECHANISM Unknown SCRAM mechanism"},
		{[]op{{"", 1, 4096}}, " UNACCEPTABLE_CREDENTIAL Username must not be empty"},
		{[]op{{"alice", 1, 4096}, {"alice", 2, 4096}}, "alice DUPLICATE_RESOURCE A user credential cannot be altered twice in the same request"},
		{[]op{{"alice", 2, 0}, {"alice", 1, 4096}}, "alice DUPLICATE_RESOURCE A user credential cannot be altered twice in the same request"},
		{[]op{{"bob", 1, 0}}, "bob NONE"},
	} {
		req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
		for _, o := range c.ops {
			if o.iterations == 0 {
				d := kmsg.NewAlterUserSCRAMCredentialsRequestDeletion()
				d.Name, d.Mechanism = o.user, o.mechanism
				req.Deletions = append(req.Deletions, d)
				continue
			}
			u := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
			u.Name, u.Mechanism, u.Iterations, u.Salt, u.SaltedPassword = o.user, o.mechanism, o.iterations, []byte("salt"), []byte("salted-s3cret")
			req.Upsertions = append(req.Upsertions, u)
		}
		var got []string
		for _, r := range ask[*kmsg.AlterUserSCRAMCredentialsResponse](k, req).Results {
			line := r.User + " " + wire.Code(r.ErrorCode).Name()
			if r.ErrorMessage != nil {
				line += " " + *r.ErrorMessage
			}
			got = append(got, line)
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%v: got %s, want %s", c.ops, s, c.want)
		}
	}
	img := k.c.Image()
	alice := img.Scram("alice", 2)
	if alice == nil || alice.Iterations != 8192 || len(alice.StoredKey) != 64 || string(alice.Salt) != "salt" {
		t.Errorf("alice: %+v", alice)
	}
	if img.Scram("bob", 1) != nil || img.Scram("dave", 1) == nil || len(img.ScramCredentials()) != 2 {
		t.Errorf("%d credentials", len(img.ScramCredentials()))
	}
	for _, c := range img.ScramCredentials() {
		if strings.Contains(string(c.StoredKey)+string(c.ServerKey), "s3cret") {
			t.Error("the salted password is kept")
		}
	}
}
