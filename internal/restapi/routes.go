package restapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// public routes answer without credentials. Every other route names a role; a
// route that names neither cannot be made.
const public spec.Role = "public"

const (
	viewer   = spec.RoleViewer
	operator = spec.RoleOperator
	admin    = spec.RoleAdmin
)

// routes is the whole API: who may call what.
func (a *api) routes() []route {
	return []route{
		on("GET", "/status", public, 200, "status", "How the service is; more of it to who is logged in", a.status),
		on("POST", "/setup", public, 200, "setup", "Make the first person, an admin, with the secret behind # of the set-up link /setup#secret", a.setup),
		on("POST", "/setup/link", admin, 201, "createSetupLink", "Make a set-up link in place of those before, while nobody is set up", a.createSetupLink),
		on("POST", "/login", public, 200, "login", "Log a browser in", a.login),
		on("POST", "/logout", public, 204, "logout", "Log a browser out", a.logout),
		on("GET", "/session", public, 200, "session", "Who is logged in; 401 if nobody is", a.session),
		on("GET", "/tokens", admin, 200, "listTokens", "Tokens of programs", a.listTokens),
		on("POST", "/tokens", admin, 201, "createToken", "Make a token, shown once", a.createToken),
		on("DELETE", "/tokens/{id}", admin, 204, "deleteToken", "End a token", a.deleteToken),
		on("GET", "/people", admin, 200, "listPeople", "People who may use the service", a.listPeople),
		on("POST", "/people", admin, 201, "createPerson", "Add a person", a.createPerson),
		on("DELETE", "/people/{name}", admin, 204, "deletePerson", "Remove a person with their sessions and tokens", a.deletePerson),
		on("GET", "/engines", viewer, 200, "listEngines", "What clusters can run on", a.engines),
		on("GET", "/profiles", viewer, 200, "listProfiles", "Ready choices of sizes and settings", a.profiles),

		on("GET", "/clusters", viewer, 200, "listClusters", "All clusters", a.clusters),
		on("GET", "/clusters/{cluster}", viewer, 200, "getCluster", "One cluster, by name or id", a.cluster),
		on("POST", "/clusters/plan", admin, 200, "planCreate", "What making a cluster would do", a.planCreate),
		on("POST", "/clusters", admin, 202, "createCluster", "Make a cluster", a.create),
		on("POST", "/clusters/{cluster}/plan", operator, 200, "planChange", "What a change would do", a.planChange),
		on("POST", "/clusters/{cluster}/operations", operator, 202, "changeCluster", "Change a cluster; to delete one takes an admin", a.change),
		on("POST", "/clusters/{cluster}/simulate", viewer, 200, "simulate", "What would happen if brokers died", a.simulate),
		on("GET", "/clusters/{cluster}/partitions", viewer, 200, "listPartitions", "Partitions as last seen", a.partitions),
		on("GET", "/clusters/{cluster}/users", operator, 200, "listUsers", "Users of the cluster", a.kafkaUsers),
		on("POST", "/clusters/{cluster}/users", operator, 201, "createUser", "Make a user with the least rights, whose password is shown once", a.createKafkaUser),
		on("DELETE", "/clusters/{cluster}/users/{name}", operator, 204, "deleteUser", "Remove a user of the cluster", a.deleteKafkaUser),
		on("GET", "/clusters/{cluster}/connect", viewer, 200, "connect", "How programs reach the cluster", a.connect),
		on("GET", "/clusters/{cluster}/ca.pem", viewer, 200, "caCertificate", "The certificate that the cluster's own are signed by", a.caPEM),
		on("GET", "/clusters/{cluster}/brokers/{broker}/log", viewer, 200, "brokerLog", "The end of a broker's log", a.brokerLog),
		on("GET", "/clusters/{cluster}/panels", viewer, 200, "listPanels", "What is measured", a.panels),
		on("GET", "/clusters/{cluster}/panels/{id}", viewer, 200, "getPanel", "Measurements of one panel", a.panel),

		on("GET", "/operations", viewer, 200, "listOperations", "Operations, the newest first, without their logs", a.operations),
		on("GET", "/operations/{id}", viewer, 200, "getOperation", "One operation with its log", a.operation),
		on("POST", "/operations/{id}/cancel", operator, 202, "cancelOperation", "Ask an operation to end early", a.cancel),
		on("GET", "/journal", viewer, 200, "listJournal", "What healing found and did, the newest first", a.journal),
		on("GET", "/events", viewer, 200, "events", "Server-sent events: cluster, operation, journal, resync", a.events),
		on("POST", "/clusters/{cluster}/export", admin, 200, "exportCluster", "Write all that the cluster needs to run without Weir into a folder of the service's machine", a.export),
	}
}

// plainRoutes are outside the API's description.
func (a *api) plainRoutes() []plainRoute {
	routes := []plainRoute{
		{"GET " + Prefix + "/openapi.json", public, a.openAPI},
		{"GET /healthz", public, a.healthz},
		{"/api/", public, a.noSuchRoute},
		{"GET /metrics", viewer, a.metrics},
	}
	if a.Prometheus != nil {
		// Grafana may POST a long query, which changes nothing.
		serve := http.StripPrefix(Prefix+"/prom", a.Prometheus).ServeHTTP
		routes = append(routes, plainRoute{"GET " + Prefix + "/prom/", viewer, serve}, plainRoute{"POST " + Prefix + "/prom/", viewer, serve})
	}
	if a.Pages != nil {
		routes = append(routes, plainRoute{"/", public, a.Pages.ServeHTTP})
	}
	return routes
}

// A route is one operation of the API.
type route struct {
	operation huma.Operation
	need      spec.Role
	add       func(*api)
}

type plainRoute struct {
	pattern string
	need    spec.Role
	serve   http.HandlerFunc
}

const needKey = "need"

// maxBody is more than the largest honest body, a cluster with 200 settings.
const maxBody = 256 << 10

// on makes a route.
func on[I, O any](method, path string, need spec.Role, status int, id, summary string, handle func(context.Context, *I) (*O, error)) route {
	if need != public && !need.Valid() {
		panic("no role for " + method + " " + path)
	}
	op := huma.Operation{
		Method: method, Path: path, OperationID: id, Summary: summary, DefaultStatus: status, MaxBodyBytes: maxBody,
		Metadata: map[string]any{needKey: need}, Tags: []string{tagOf(path)}, Security: []map[string][]string{},
	}
	if need != public {
		op.Description = "Role: " + string(need) + "."
		op.Security = []map[string][]string{{"token": {}}, {"session": {}}}
	}
	return route{operation: op, need: need, add: func(a *api) {
		huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
			out, err := handle(ctx, in)
			if err != nil {
				return nil, a.answer(ctx, err)
			}
			return out, nil
		})
	}}
}

// tagOf groups the description by the first part of the path.
func tagOf(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch first {
	case "status", "engines", "profiles", "events":
		return "service"
	case "setup", "login", "logout", "session", "tokens", "people":
		return "people"
	}
	return first
}
