package handler

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// DescribeUserScramCredentials, version 0 (KIP-554): which users have SCRAM credentials, and with how many
// iterations; never the credentials.
func (b *Broker) handleDescribeUserScramCredentials(r *wire.Request) {
	req := r.Body.(*kmsg.DescribeUserSCRAMCredentialsRequest)
	resp := req.ResponseKind().(*kmsg.DescribeUserSCRAMCredentialsResponse)
	if !b.allowed(r, authz.Describe, authz.Cluster, authz.ClusterName) {
		resp.ErrorCode = int16(wire.ClusterAuthorizationFailed)
		for _, u := range req.Users {
			out := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
			out.User, out.ErrorCode = u.Name, int16(wire.ClusterAuthorizationFailed)
			resp.Results = append(resp.Results, out)
		}
		r.Reply(resp)
		return
	}
	resp.ErrorMessage = new(string)
	byUser := map[string][]*image.ScramCredential{}
	var users []string
	for _, c := range b.Image().ScramCredentials() {
		if len(byUser[c.User]) == 0 {
			users = append(users, c.User)
		}
		byUser[c.User] = append(byUser[c.User], c)
	}
	if len(req.Users) > 0 {
		users = users[:0]
		for _, u := range req.Users {
			users = append(users, u.Name)
		}
	}
	resp.Results = []kmsg.DescribeUserSCRAMCredentialsResponseResult{}
	for i, user := range users {
		if slices.Contains(users[:i], user) {
			continue
		}
		resp.Results = append(resp.Results, scramResult(user, byUser[user], slices.Contains(users[i+1:], user)))
	}
	r.Reply(resp)
}

func scramResult(user string, credentials []*image.ScramCredential, twice bool) kmsg.DescribeUserSCRAMCredentialsResponseResult {
	out := kmsg.NewDescribeUserSCRAMCredentialsResponseResult()
	out.User = user
	switch {
	case twice:
		msg := "Cannot describe SCRAM credentials for the same user twice in a single request: " + user
		out.ErrorCode, out.ErrorMessage = int16(wire.DuplicateResource), &msg
	case len(credentials) == 0:
		msg := "Attempt to describe a user credential that does not exist: " + user
		out.ErrorCode, out.ErrorMessage = int16(wire.ResourceNotFound), &msg
	}
	if out.ErrorCode != 0 {
		return out
	}
	for _, c := range credentials {
		info := kmsg.NewDescribeUserSCRAMCredentialsResponseResultCredentialInfo()
		info.Mechanism, info.Iterations = c.Mechanism, c.Iterations
		out.CredentialInfos = append(out.CredentialInfos, info)
	}
	return out
}
