package controller

import (
	"bytes"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/security/sasl"
	"github.com/weir-stream/weir/internal/wire"
)

// askAs sends a request in somebody's name.
func askAs[T kmsg.Response](k *cluster, who string, req kmsg.Request) T {
	k.t.Helper()
	resp, err := k.c.Handle(k.ctx(), RequestContext{Principal: who}, req)
	if err != nil {
		k.t.Fatalf("%T: %v", req, err)
	}
	return resp.(T)
}

const hour = int64(time.Hour / time.Millisecond)

func (k *cluster) createToken(who string, life int64, renewers ...string) *kmsg.CreateDelegationTokenResponse {
	req := kmsg.NewPtrCreateDelegationTokenRequest()
	req.MaxLifetimeMillis = life
	for _, name := range renewers {
		r := kmsg.NewCreateDelegationTokenRequestRenewer()
		r.PrincipalType, r.PrincipalName = "User", name
		req.Renewers = append(req.Renewers, r)
	}
	return askAs[*kmsg.CreateDelegationTokenResponse](k, who, req)
}

func (k *cluster) renewToken(who string, hmac []byte, period int64) (wire.Code, int64) {
	req := kmsg.NewPtrRenewDelegationTokenRequest()
	req.HMAC, req.RenewTimeMillis = hmac, period
	resp := askAs[*kmsg.RenewDelegationTokenResponse](k, who, req)
	return wire.Code(resp.ErrorCode), resp.ExpiryTimestamp
}

func (k *cluster) expireToken(who string, hmac []byte, period int64) (wire.Code, int64) {
	req := kmsg.NewPtrExpireDelegationTokenRequest()
	req.HMAC, req.ExpiryPeriodMillis = hmac, period
	resp := askAs[*kmsg.ExpireDelegationTokenResponse](k, who, req)
	return wire.Code(resp.ErrorCode), resp.ExpiryTimestamp
}

func TestDelegationTokensNeedAKey(t *testing.T) {
	k := newCluster(t)
	if r := k.createToken("User:alice", -1); wire.Code(r.ErrorCode) != wire.DelegationTokenAuthDisabled {
		t.Errorf("made without a key: %+v", r)
	}
	if code, _ := k.renewToken("User:alice", []byte("x"), -1); code != wire.DelegationTokenAuthDisabled {
		t.Errorf("renewed without a key: %v", code.Name())
	}
}

// TestDelegationTokens follows tokens from their making to the end; kafka-delegation-tokens holds the same against Apache
// Kafka in internal/cli.
func TestDelegationTokens(t *testing.T) {
	k := newCluster(t, "delegation.token.secret.key=key", "delegation.token.expiry.time.ms=3600000")
	made := k.createToken("User:alice", 3*hour, "bob")
	if made.ErrorCode != 0 || made.ExpiryTimestamp != made.IssueTimestamp+hour || made.MaxTimestamp != made.IssueTimestamp+3*hour ||
		!bytes.Equal(made.HMAC, sasl.TokenHMAC("key", made.TokenID)) {
		t.Fatalf("made %+v", made)
	}
	if kept := k.c.Image().DelegationToken(made.TokenID); kept == nil || kept.Owner != "User:alice" || kept.Renewers[0] != "User:bob" {
		t.Errorf("kept %+v", kept)
	}
	for who, want := range map[string]wire.Code{"User:alice": wire.None, "User:bob": wire.None, "User:mallory": wire.DelegationTokenOwnerMismatch} {
		if code, _ := k.renewToken(who, made.HMAC, -1); code != want {
			t.Errorf("%s renews: %s, want %s", who, code.Name(), want.Name())
		}
	}
	if code, _ := k.renewToken("User:alice", []byte("guess"), -1); code != wire.DelegationTokenNotFound {
		t.Errorf("a guess: %s", code.Name())
	}
	k.clock.Store(int64(50 * time.Minute))
	if code, until := k.renewToken("User:alice", made.HMAC, 10*hour); code != wire.None || until > made.MaxTimestamp || until < made.IssueTimestamp+hour {
		t.Errorf("renewed until %d after %s", until-made.IssueTimestamp, code.Name())
	}
	k.clock.Store(int64(2 * time.Hour))
	if code, _ := k.renewToken("User:alice", made.HMAC, -1); code != wire.DelegationTokenExpired {
		t.Errorf("an expired token is renewed: %s", code.Name())
	}
	if code, _ := k.expireToken("User:alice", made.HMAC, hour); code != wire.DelegationTokenExpired {
		t.Errorf("an expired token is given an hour: %s", code.Name())
	}
	second := k.createToken("User:alice", -1)
	if code, until := k.expireToken("User:alice", second.HMAC, 1<<62); code != wire.None || until != second.MaxTimestamp {
		t.Errorf("a long end is %d, %s", until-second.MaxTimestamp, code.Name())
	}
	swept := make(chan struct{})
	k.c.post(func() { k.c.sweepTokens(); k.c.settle(func(error) { close(swept) }) })
	<-swept
	if img := k.c.Image(); img.DelegationToken(made.TokenID) != nil || img.DelegationToken(second.TokenID) == nil {
		t.Errorf("after a sweep there are %d tokens", img.DelegationTokenCount())
	}
	if code, _ := k.renewToken("User:alice", made.HMAC, -1); code != wire.DelegationTokenNotFound {
		t.Errorf("a removed token: %s", code.Name())
	}
	if code, until := k.expireToken("User:alice", second.HMAC, -1); code != wire.None || until < second.IssueTimestamp || until > second.IssueTimestamp+hour || k.c.Image().DelegationTokenCount() != 0 {
		t.Errorf("ended at once: %d, %s", until, code.Name())
	}
}

// TestDelegationTokensOutliveTheController: who was the controller before does not matter.
func TestDelegationTokensOutliveTheController(t *testing.T) {
	k := newCluster(t, "delegation.token.secret.key=key")
	made := k.createToken("User:alice", -1)
	k.stop(true)
	k.start()
	if code, _ := k.renewToken("User:alice", made.HMAC, -1); code != wire.None {
		t.Errorf("after a power cut: %s", code.Name())
	}
}

func TestRenewersAreUsers(t *testing.T) {
	k := newCluster(t, "delegation.token.secret.key=key")
	req := kmsg.NewPtrCreateDelegationTokenRequest()
	r := kmsg.NewCreateDelegationTokenRequestRenewer()
	r.PrincipalType, r.PrincipalName = "Group", "staff"
	req.Renewers = append(req.Renewers, r)
	if resp := askAs[*kmsg.CreateDelegationTokenResponse](k, "User:alice", req); wire.Code(resp.ErrorCode) != wire.InvalidPrincipalType {
		t.Errorf("a group as renewer: %+v", resp)
	}
}
