package controller

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/security/sasl"
	"github.com/weir-stream/weir/internal/wire"
)

// scramMechanisms are the names of the mechanisms by their number.
var scramMechanisms = map[int8]string{1: sasl.ScramSHA256, 2: sasl.ScramSHA512}

// alterUserScramCredentials answers AlterUserScramCredentials v0 (KIP-554). A user may stand in a request once, even
// if it is for another mechanism. As in Kafka the successes come first in the answer.
func (c *Controller) alterUserScramCredentials(_ RequestContext, req *kmsg.AlterUserSCRAMCredentialsRequest) (decision, error) {
	resp := req.ResponseKind().(*kmsg.AlterUserSCRAMCredentialsResponse)
	times := map[string]int{}
	for _, d := range req.Deletions {
		times[d.Name]++
	}
	for _, u := range req.Upsertions {
		times[u.Name]++
	}
	var records []mr.Versioned
	var failed []kmsg.AlterUserSCRAMCredentialsResponseResult
	told := map[string]bool{}
	settle := func(user string, record func() (mr.Record, error)) {
		var err error
		var r mr.Record
		switch {
		case told[user]:
			return
		case times[user] > 1:
			err = refuse(wire.DuplicateResource, "A user credential cannot be altered twice in the same request")
		case !c.state.MetadataVersion().Scram():
			err = refuse(wire.UnsupportedVersion, "The current metadata.version does not support SCRAM")
		default:
			r, err = record()
		}
		told[user] = true
		out := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
		out.User = user
		if out.ErrorCode, out.ErrorMessage = errorFields(err); err != nil {
			failed = append(failed, out)
			return
		}
		records = append(records, mr.V0(r))
		resp.Results = append(resp.Results, out)
	}
	for _, d := range req.Deletions {
		settle(d.Name, func() (mr.Record, error) { return c.deleteScram(d.Name, d.Mechanism) })
	}
	for i := range req.Upsertions {
		u := &req.Upsertions[i]
		settle(u.Name, func() (mr.Record, error) { return upsertScram(u) })
	}
	resp.Results = append(resp.Results, failed...)
	return decision{answer: resp, records: records}, nil
}

func checkScramUser(name string, mechanism int8) error {
	switch {
	case name == "":
		return refuse(wire.UnacceptableCredential, "Username must not be empty")
	case scramMechanisms[mechanism] == "":
		return refuse(wire.UnsupportedSaslMechanism, "Unknown SCRAM mechanism")
	}
	return nil
}

func (c *Controller) deleteScram(name string, mechanism int8) (mr.Record, error) {
	if err := checkScramUser(name, mechanism); err != nil {
		return nil, err
	}
	if c.state.Scram(name, mechanism) == nil {
		return nil, refuse(wire.ResourceNotFound, "Attempt to delete a user credential that does not exist")
	}
	return &mr.RemoveUserScramCredentialRecord{Name: name, Mechanism: mechanism}, nil
}

// maxScramBytes bounds salt and salted password, which stay in the metadata for ever.
const maxScramBytes = 1 << 10

// upsertScram makes the record of a credential; of the salted password only the two keys are kept.
func upsertScram(u *kmsg.AlterUserSCRAMCredentialsRequestUpsertion) (mr.Record, error) {
	err := checkScramUser(u.Name, u.Mechanism)
	switch {
	case err != nil:
		return nil, err
	case u.Iterations < sasl.MinIterations:
		return nil, refuse(wire.UnacceptableCredential, "Too few iterations")
	case u.Iterations > sasl.MaxIterations:
		return nil, refuse(wire.UnacceptableCredential, "Too many iterations")
	case len(u.SaltedPassword) == 0 || len(u.Salt) == 0:
		return nil, refuse(wire.UnacceptableCredential, "Salt and salted password must not be empty")
	case len(u.SaltedPassword) > maxScramBytes || len(u.Salt) > maxScramBytes:
		return nil, refuse(wire.UnacceptableCredential, "Salt or salted password is too long")
	}
	made, err := sasl.SaltedCredential(scramMechanisms[u.Mechanism], u.SaltedPassword, append([]byte(nil), u.Salt...), int(u.Iterations))
	if err != nil {
		return nil, err
	}
	return scramRecord(image.ScramKey{User: u.Name, Mechanism: u.Mechanism}, made), nil
}

func scramRecord(k image.ScramKey, c sasl.Credential) *mr.UserScramCredentialRecord {
	return &mr.UserScramCredentialRecord{Name: k.User, Mechanism: k.Mechanism, Salt: c.Salt, StoredKey: c.StoredKey, ServerKey: c.ServerKey, Iterations: int32(c.Iterations)}
}
