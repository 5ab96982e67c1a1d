package restapi

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/weir-stream/weir/internal/controlplane/spec"
)

func init() { huma.DefaultArrayNullable = false } // noNulls makes it true

// describe is the API's description as it is served and committed.
func describe(o *huma.OpenAPI) []byte {
	text, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		panic(err) // made of constants
	}
	return append(text, '\n')
}

// enums are the values of spec's types, for generated clients.
func enums(o *huma.OpenAPI) {
	ops := []spec.OpState{spec.OpPending, spec.OpRunning, spec.OpSucceeded, spec.OpFailed, spec.OpCancelled}
	steps := []spec.StepState{spec.StepPending, spec.StepRunning, spec.StepSucceeded, spec.StepFailed, spec.StepSkipped}
	set(o, "Cluster", "state", spec.States())
	set(o, "ClusterView", "state", spec.States())
	set(o, "Operation", "state", ops)
	set(o, "Step", "state", steps)
}

func set[T ~string](o *huma.OpenAPI, schema, property string, values []T) {
	s := o.Components.Schemas.Map()[schema]
	for _, v := range values {
		s.Properties[property].Enum = append(s.Properties[property].Enum, string(v))
	}
}

func (a *api) openAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/vnd.oai.openapi+json")
	_, _ = w.Write(a.spec) // the client may be gone
}

func (a *api) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // the client may be gone
}

func (a *api) noSuchRoute(w http.ResponseWriter, _ *http.Request) {
	problem(w, http.StatusNotFound, "there is no such call; GET "+Prefix+"/openapi.json lists all")
}

func (a *api) metrics(w http.ResponseWriter, r *http.Request) {
	if a.Metrics == nil {
		a.noSuchRoute(w, r)
		return
	}
	a.Metrics.ServeHTTP(w, r)
}

// secretive are the operations whose bodies carry passwords.
var secretive = []string{"setup", "login", "createPerson"}

// noSecrets keeps huma from repeating refused values that may be passwords.
func noSecrets(ctx huma.Context, _ string, v any) (any, error) {
	p, ok := v.(*huma.ErrorModel)
	if !ok || !slices.Contains(secretive, ctx.Operation().OperationID) {
		return v, nil
	}
	for _, e := range p.Errors {
		if !strings.HasPrefix(e.Location, "body.name") && e.Location != "body.role" {
			e.Value = nil
		}
	}
	return v, nil
}

// noNulls shows lists that are nil as empty ones, so that clients need not ask.
func noNulls(_ huma.Context, _ string, v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	return filled(reflect.ValueOf(v)).Interface(), nil
}

// filled is a copy of v in which no list is nil.
func filled(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || v.Elem().Kind() != reflect.Struct {
			return v
		}
		out := reflect.New(v.Type().Elem())
		out.Elem().Set(filled(v.Elem()))
		return out
	case reflect.Struct:
		out := reflect.New(v.Type()).Elem()
		out.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(filled(v.Field(i)))
			}
		}
		return out
	case reflect.Slice:
		out := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			out.Index(i).Set(filled(v.Index(i)))
		}
		return out
	}
	return v
}
