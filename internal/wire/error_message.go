package wire

import (
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrorResponse is ErrorAnswer for a decoded request other than Produce and Fetch, with a message wherever the answer
// has a place for one beside the code. An empty message leaves them null.
func ErrorResponse(req kmsg.Request, code Code, message string) kmsg.Response {
	resp := ErrorAnswer(&Request{Key: req.Key(), Version: req.GetVersion(), Body: req}, code).(kmsg.Response)
	if message != "" {
		explain(reflect.ValueOf(resp).Elem(), &message)
	}
	return resp
}

// explain sets the field ErrorMessage of v and of the entries in it.
func explain(v reflect.Value, message *string) {
	if f := v.FieldByName("ErrorMessage"); f.IsValid() && f.Type() == reflect.TypeOf(message) {
		f.Set(reflect.ValueOf(message))
	}
	for i := range v.NumField() {
		f := v.Field(i)
		if f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct {
			for j := range f.Len() {
				explain(f.Index(j), message)
			}
		}
	}
}
