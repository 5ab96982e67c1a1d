package restapi

import (
	"time"

	"github.com/weir-stream/weir/internal/controlplane"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// answer is an answer with a body.
type answer[T any] struct{ Body T }

func body[T any](v T, err error) (*answer[T], error) {
	if err != nil {
		return nil, err
	}
	return &answer[T]{v}, nil
}

type none struct{}

// Status is how the service is. Strangers see the first two only.
type Status struct {
	Version       string `json:"version"`
	NeedsSetup    bool   `json:"needsSetup" doc:"Nobody is set up yet"`
	Address       string `json:"address,omitempty"`
	Dir           string `json:"dir,omitempty"`
	Clusters      int    `json:"clusters,omitempty"`
	UptimeSeconds int64  `json:"uptimeSeconds,omitempty"`
}

// Session is who is logged in, and how.
type Session struct {
	Name string `json:"name"`
	Role string `json:"role" enum:"admin,operator,viewer"`
	CSRF string `json:"csrf" doc:"What writes of a browser carry in X-CSRF-Token; empty for a token"`
}

type sessionAnswer struct {
	SetCookie string `header:"Set-Cookie"`
	Body      Session
}

// SetupBody makes the first person.
type SetupBody struct {
	Secret   string `json:"secret" maxLength:"200" doc:"What stands behind # in the set-up link"`
	Name     string `json:"name" maxLength:"200"`
	Password string `json:"password" maxLength:"1000"`
}

// SetupLink makes the first person, once.
type SetupLink struct {
	Link      string    `json:"link"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// LoginBody is a person's name and password.
type LoginBody struct {
	Name     string `json:"name" maxLength:"200"`
	Password string `json:"password" maxLength:"1000"`
}

// Token is a token without its secret.
type Token struct {
	ID        string    `json:"id"`
	User      string    `json:"user"`
	Role      string    `json:"role" enum:"admin,operator,viewer"`
	CreatedAt time.Time `json:"createdAt"`
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
}

// Tokens is a list of tokens.
type Tokens struct {
	Tokens []Token `json:"tokens"`
}

// TokenBody asks for a token.
type TokenBody struct {
	Role             string `json:"role" enum:"admin,operator,viewer"`
	ExpiresInSeconds int64  `json:"expiresInSeconds,omitempty" minimum:"0" maximum:"3153600000" doc:"0 means never"`
}

// NewToken is a token with its secret, which is never shown again.
type NewToken struct {
	ID    string `json:"id"`
	Token string `json:"token"`
}

// Person is somebody who may use the service.
type Person struct {
	Name      string    `json:"name"`
	Role      string    `json:"role" enum:"admin,operator,viewer"`
	CreatedAt time.Time `json:"createdAt"`
}

// People is a list of people.
type People struct {
	People []Person `json:"people"`
}

// PersonBody asks for a person.
type PersonBody struct {
	Name     string `json:"name" maxLength:"200"`
	Role     string `json:"role" enum:"admin,operator,viewer"`
	Password string `json:"password" maxLength:"1000"`
}

// Clusters is a list of clusters.
type Clusters struct {
	Clusters []controlplane.ClusterView `json:"clusters"`
}

// CreatePlan is what making a cluster would do, and what it would be.
type CreatePlan struct {
	Cluster spec.Cluster `json:"cluster"`
	Plan    spec.Plan    `json:"plan"`
}

// Operations is a page of operations.
type Operations struct {
	Operations []*spec.Operation `json:"operations"`
}

// Journal is a page of the healing journal.
type Journal struct {
	Entries []*spec.JournalEntry `json:"entries"`
}

// SimulateBody names brokers that die.
type SimulateBody struct {
	Kill []int32 `json:"kill" minItems:"1" maxItems:"64"`
}

// Partitions is a page of partitions.
type Partitions struct {
	Partitions []spec.PartitionObservation `json:"partitions"`
	Total      int                         `json:"total" doc:"How many fit the question, on all pages"`
}

// Users are the names of a cluster's users.
type Users struct {
	Users []string `json:"users"`
}

// LogLines is the end of a log.
type LogLines struct {
	Lines []string `json:"lines"`
}

// ExportBody names a folder of the service's machine.
type ExportBody struct {
	Dir string `json:"dir" minLength:"1" maxLength:"4096" doc:"An absolute path"`
}

// Files are the paths that were written.
type Files struct {
	Files []string `json:"files"`
}

// Engines is what clusters can run on.
type Engines struct {
	Engines []controlplane.EngineInfo `json:"engines"`
}

// Profiles are ready choices.
type Profiles struct {
	Profiles []spec.Profile `json:"profiles"`
}

// ClusterPath is the part of a path that names a cluster.
type ClusterPath struct {
	Cluster string `path:"cluster" pattern:"^[A-Za-z0-9_-]{1,64}$" doc:"Name or id"`
}

type clusterAsk[T any] struct {
	ClusterPath
	Body T
}

// page is a part of a history.
type page struct {
	Cluster string `query:"cluster" pattern:"^[A-Za-z0-9_-]{1,64}$" doc:"Name or id; all if absent"`
	Limit   int    `query:"limit" minimum:"1" maximum:"500" default:"50"`
	Before  string `query:"before" maxLength:"100" doc:"Go on before this id"`
}
