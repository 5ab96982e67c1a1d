package wire

import (
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrorAnswer is the answer to r that says nothing but code: in the answer's own error code if it has one, and in an
// entry for each topic, partition, group or resource that the request names. It is for requests that fail as a whole:
// an unexpected error, a coordinator that is not ready, a lack of rights to the API. It may be called for any API
// and version; where the answer has no place for an error it is empty (Kafka then closes the connection).
func ErrorAnswer(r *Request, code Code) Response {
	if r.Produce != nil {
		return produceError(r, code)
	}
	if r.Key == 1 {
		return fetchError(r, code)
	}
	resp := r.Body.ResponseKind()
	resp.SetVersion(r.Version)
	switch req := r.Body.(type) {
	case *kmsg.AlterReplicaLogDirsRequest:
		for i := range req.Dirs {
			moved := resp.(*kmsg.AlterReplicaLogDirsResponse)
			var one kmsg.AlterReplicaLogDirsResponse
			mirror(reflect.ValueOf(req.Dirs[i]), reflect.ValueOf(&one).Elem(), code)
			moved.Topics = append(moved.Topics, one.Topics...)
		}
		return resp
	case *kmsg.AlterUserSCRAMCredentialsRequest:
		scramErrors(req, resp.(*kmsg.AlterUserSCRAMCredentialsResponse), code)
		return resp
	}
	mirror(reflect.ValueOf(r.Body).Elem(), reflect.ValueOf(resp).Elem(), code)
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

func fetchError(r *Request, code Code) Response {
	resp := &FetchResponse{Version: r.Version, ErrorCode: code}
	if r.Version >= 13 {
		return resp // Kafka names no partitions there
	}
	for _, t := range r.Body.(*kmsg.FetchRequest).Topics {
		ft := FetchTopic{Name: t.Topic, ID: t.TopicID}
		for _, p := range t.Partitions {
			ft.Partitions = append(ft.Partitions, FetchPartition{Index: p.Partition, ErrorCode: code, HighWatermark: -1,
				LastStableOffset: -1, LogStartOffset: -1, PreferredReadReplica: -1})
		}
		resp.Topics = append(resp.Topics, ft)
	}
	return resp
}

func scramErrors(req *kmsg.AlterUserSCRAMCredentialsRequest, resp *kmsg.AlterUserSCRAMCredentialsResponse, code Code) {
	add := func(user string) {
		r := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
		r.User, r.ErrorCode = user, int16(code)
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

// mirror sets error codes in an answer and builds the entries that carry them.
func mirror(req, resp reflect.Value, code Code) {
	for i := range resp.NumField() {
		f := resp.Type().Field(i)
		switch {
		case f.Name == "ErrorCode":
			resp.Field(i).SetInt(int64(code))
		case f.Type.Kind() == reflect.Slice && carriesError(f.Type.Elem()):
			if list := counterpart(req, f.Name); list.IsValid() {
				mirrorList(list, resp.Field(i), code)
			}
		case f.Type.Kind() == reflect.Struct && f.IsExported() && f.Name != "UnknownTags":
			mirror(req, resp.Field(i), code)
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

func mirrorList(req, resp reflect.Value, code Code) {
	out := reflect.MakeSlice(resp.Type(), req.Len(), req.Len())
	for i := range req.Len() {
		e := out.Index(i)
		e.Addr().Interface().(interface{ Default() }).Default()
		name(req.Index(i), e)
		mirror(req.Index(i), e, code)
	}
	resp.Set(out)
}

// name copies what identifies an entry: all fields that both sides have under one name and type, or the element
// itself if the request lists bare names or numbers.
func name(req, resp reflect.Value) {
	for i := range resp.NumField() {
		f, to := resp.Type().Field(i), resp.Field(i)
		if f.Name == "ErrorCode" || f.Name == "UnknownTags" || !f.IsExported() || f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct {
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
