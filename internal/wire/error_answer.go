package wire

import (
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrorAnswer is the answer to r that says nothing but code: see ErrorResponse. It is nil for Produce with acks=0.
func ErrorAnswer(r *Request, code Code) Response {
	if r.Produce != nil {
		return produceError(r, code)
	}
	return ErrorResponse(r.Body, code, "")
}

// ErrorResponse is the answer to a request that failed as a whole: code (and message, where there is room for one) in
// the answer's own error if it has one, and in an entry for each topic, partition, group or resource that the request
// names. An empty message is left at what the version has as default. It may be called for any API and version; where
// the answer has no place for an error it is empty.
func ErrorResponse(req kmsg.Request, code Code, message string) kmsg.Response {
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	m := mirroring{code, message}
	switch req := req.(type) {
	case *kmsg.FetchRequest:
		fetchError(req, resp.(*kmsg.FetchResponse), code)
	case *kmsg.AlterReplicaLogDirsRequest:
		for i := range req.Dirs {
			moved := resp.(*kmsg.AlterReplicaLogDirsResponse)
			var one kmsg.AlterReplicaLogDirsResponse
			m.fill(reflect.ValueOf(req.Dirs[i]), reflect.ValueOf(&one).Elem())
			moved.Topics = append(moved.Topics, one.Topics...)
		}
	case *kmsg.AlterPartitionRequest:
		resp.(*kmsg.AlterPartitionResponse).ErrorCode = int16(code) // refused as a whole, without a word of its partitions
	case *kmsg.CreateTopicsRequest:
		m.fill(reflect.ValueOf(req).Elem(), reflect.ValueOf(resp).Elem())
		for i := range resp.(*kmsg.CreateTopicsResponse).Topics {
			resp.(*kmsg.CreateTopicsResponse).Topics[i].Configs = []kmsg.CreateTopicsResponseTopicConfig{}
		}
	case *kmsg.AlterUserSCRAMCredentialsRequest:
		scramErrors(req, resp.(*kmsg.AlterUserSCRAMCredentialsResponse), m)
	default:
		m.fill(reflect.ValueOf(req).Elem(), reflect.ValueOf(resp).Elem())
	}
	return resp
}

func produceError(r *Request, code Code) Response {
	if r.Produce.Acks == 0 {
		return nil
	}
	resp := kmsg.NewPtrProduceResponse()
	resp.Version = r.Version
	for _, t := range r.Produce.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = t.Name, t.ID
		for _, p := range t.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.ErrorCode, rp.BaseOffset = p.Index, int16(code), -1
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// fetchError names the partitions up to version 12; later ones have only the answer's own code, as in Kafka.
func fetchError(req *kmsg.FetchRequest, resp *kmsg.FetchResponse, code Code) {
	resp.ErrorCode = int16(code)
	if req.Version >= 13 {
		return
	}
	for _, t := range req.Topics {
		rt := kmsg.NewFetchResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewFetchResponseTopicPartition()
			rp.Partition, rp.ErrorCode, rp.HighWatermark, rp.RecordBatches = p.Partition, int16(code), -1, []byte{}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
}

func scramErrors(req *kmsg.AlterUserSCRAMCredentialsRequest, resp *kmsg.AlterUserSCRAMCredentialsResponse, m mirroring) {
	add := func(user string) {
		r := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
		m.fill(reflect.Value{}, reflect.ValueOf(&r).Elem())
		r.User = user
		resp.Results = append(resp.Results, r)
	}
	for _, d := range req.Deletions {
		add(d.Name)
	}
	for _, u := range req.Upsertions {
		add(u.Name)
	}
}

// lists pairs the names of lists in answers with those in requests where they differ.
var lists = map[string][]string{
	"Topics":                {"TopicNames", "Topics", "Resources"},
	"Groups":                {"GroupNames", "GroupIDs"},
	"Coordinators":          {"CoordinatorKeys"},
	"Results":               {"Creations", "Filters", "Topics", "DeleteRecords"},
	"Members":               {"Members"},
	"TransactionStates":     {"TransactionalIDs"},
	"Transactions":          {"Transactions"},
	"ReplicaElectionTopics": {"Topics"},
	"Markers":               {"Markers"},
	"Resources":             {"Resources"},
	"Entries":               {"Entries"},
	"Directories":           {"Directories"},
}

// mirroring sets errors in an answer and builds the entries that carry them.
type mirroring struct {
	code    Code
	message string
}

func (m mirroring) fill(req, resp reflect.Value) {
	for i := range resp.NumField() {
		f := resp.Type().Field(i)
		switch {
		case f.Name == "ErrorCode":
			resp.Field(i).SetInt(int64(m.code))
		case f.Name == "ErrorMessage":
			if m.message != "" {
				assign(reflect.ValueOf(m.message), resp.Field(i))
			}
		case f.Type.Kind() == reflect.Slice && carriesError(f.Type.Elem()):
			if list := counterpart(req, f.Name); list.IsValid() {
				m.list(list, resp.Field(i))
			}
		case f.Type.Kind() == reflect.Struct && f.IsExported() && f.Name != "UnknownTags":
			m.fill(req, resp.Field(i))
		}
	}
}

// carriesError reports whether a type has an error code, itself or further down.
func carriesError(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Name == "ErrorCode" || f.Type.Kind() == reflect.Slice && carriesError(f.Type.Elem()) {
			return true
		}
	}
	return false
}

// counterpart finds the list of the request that an answer's list stands for.
func counterpart(req reflect.Value, name string) reflect.Value {
	if req.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	found := reflect.Value{}
	for _, n := range append([]string{name}, lists[name]...) {
		if v := req.FieldByName(n); v.IsValid() && v.Kind() == reflect.Slice && (!found.IsValid() || v.Len() > 0) {
			found = v
			if v.Len() > 0 {
				break
			}
		}
	}
	return found
}

func (m mirroring) list(req, resp reflect.Value) {
	out := reflect.MakeSlice(resp.Type(), req.Len(), req.Len())
	for i := range req.Len() {
		e := out.Index(i)
		e.Addr().Interface().(interface{ Default() }).Default()
		name(req.Index(i), e)
		m.fill(req.Index(i), e)
	}
	resp.Set(out)
}

// name copies what identifies an entry: all fields that both sides have under one name and type, or the element
// itself if the request lists bare names or numbers.
func name(req, resp reflect.Value) {
	for i := range resp.NumField() {
		f, to := resp.Type().Field(i), resp.Field(i)
		if f.Name == "ErrorCode" || f.Name == "ErrorMessage" || f.Name == "UnknownTags" || !f.IsExported() || f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct {
			continue
		}
		if req.Kind() == reflect.Struct {
			if from := req.FieldByName(f.Name); from.IsValid() {
				assign(from, to)
			}
		} else if assign(req, to) {
			return
		}
	}
}

// assign copies a value between a type and itself, or a string and a nullable string.
func assign(from, to reflect.Value) bool {
	switch {
	case from.Type() == to.Type():
		to.Set(from)
	case to.Kind() == reflect.Pointer && from.Type() == to.Type().Elem():
		p := reflect.New(from.Type())
		p.Elem().Set(from)
		to.Set(p)
	case from.Kind() == reflect.Pointer && to.Type() == from.Type().Elem():
		if !from.IsNil() {
			to.Set(from.Elem())
		}
	default:
		return false
	}
	return true
}
