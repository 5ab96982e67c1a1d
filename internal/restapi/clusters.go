package restapi

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/danielgtaylor/huma/v2"

	"github.com/weir-stream/weir/internal/controlplane"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

func (a *api) engines(context.Context, *none) (*answer[Engines], error) {
	return body(Engines{a.Service.Engines()}, nil)
}

func (a *api) profiles(context.Context, *none) (*answer[Profiles], error) {
	return body(Profiles{spec.Profiles()}, nil)
}

func (a *api) clusters(ctx context.Context, _ *none) (*answer[Clusters], error) {
	all, err := a.Service.Clusters(ctx)
	return body(Clusters{all}, err)
}

func (a *api) cluster(ctx context.Context, in *ClusterPath) (*answer[controlplane.ClusterView], error) {
	return body(a.Service.Cluster(ctx, in.Cluster))
}

func (a *api) planCreate(ctx context.Context, in *struct{ Body controlplane.CreateRequest }) (*answer[CreatePlan], error) {
	c, p, err := a.Service.PlanCreate(ctx, in.Body)
	return body(CreatePlan{c, p}, err)
}

// accepted is an operation that was begun.
type accepted struct {
	Location string `header:"Location"`
	Body     *spec.Operation
}

func begun(op *spec.Operation, err error) (*accepted, error) {
	if err != nil {
		return nil, err
	}
	return &accepted{Location: Prefix + "/operations/" + op.ID, Body: op}, nil
}

func (a *api) create(ctx context.Context, in *struct{ Body controlplane.CreateRequest }) (*accepted, error) {
	who, _ := caller(ctx)
	return begun(a.Service.Create(ctx, who.Name, in.Body))
}

func (a *api) planChange(ctx context.Context, in *clusterAsk[controlplane.ChangeRequest]) (*answer[spec.Plan], error) {
	return body(a.Service.PlanChange(ctx, in.Cluster, in.Body))
}

func (a *api) change(ctx context.Context, in *clusterAsk[controlplane.ChangeRequest]) (*accepted, error) {
	who, _ := caller(ctx)
	if in.Body.Kind == spec.OpDelete && !who.Role.Allows(admin) {
		return nil, &roleError{need: admin, has: who.Role}
	}
	return begun(a.Service.Change(ctx, who.Name, in.Cluster, in.Body))
}

func (a *api) simulate(ctx context.Context, in *clusterAsk[SimulateBody]) (*answer[controlplane.Simulation], error) {
	return body(a.Service.Simulate(ctx, in.Cluster, in.Body.Kill))
}

// states are the questions that a list of partitions answers.
var states = map[string]func(*spec.PartitionObservation) bool{
	"offline":          (*spec.PartitionObservation).Offline,
	"under-replicated": (*spec.PartitionObservation).UnderReplicated,
	"under-min-isr":    (*spec.PartitionObservation).UnderMinISR,
	"moving":           func(p *spec.PartitionObservation) bool { return len(p.Adding)+len(p.Removing) > 0 },
}

func (a *api) partitions(ctx context.Context, in *struct {
	ClusterPath
	State  string `query:"state" enum:"offline,under-replicated,under-min-isr,moving" doc:"Only such partitions"`
	Topic  string `query:"topic" maxLength:"249" doc:"Only this topic's"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Offset int    `query:"offset" minimum:"0"`
}) (*answer[Partitions], error) {
	all, err := a.Service.Partitions(ctx, in.Cluster)
	if err != nil {
		return nil, err
	}
	fits := states[in.State]
	out := Partitions{}
	for i := range all {
		if fits != nil && !fits(&all[i]) || in.Topic != "" && all[i].Topic != in.Topic {
			continue
		}
		if out.Total >= in.Offset && len(out.Partitions) < in.Limit {
			out.Partitions = append(out.Partitions, all[i])
		}
		out.Total++
	}
	return body(out, nil)
}

func (a *api) kafkaUsers(ctx context.Context, in *ClusterPath) (*answer[Users], error) {
	names, err := a.Service.KafkaUsers(ctx, in.Cluster)
	return body(Users{names}, err)
}

func (a *api) createKafkaUser(ctx context.Context, in *clusterAsk[controlplane.KafkaUserRequest]) (*answer[controlplane.Credentials], error) {
	who, _ := caller(ctx)
	return body(a.Service.CreateKafkaUser(ctx, who.Name, in.Cluster, in.Body))
}

func (a *api) deleteKafkaUser(ctx context.Context, in *struct {
	ClusterPath
	Name string `path:"name" maxLength:"200"`
}) (*none, error) {
	who, _ := caller(ctx)
	return nil, a.Service.DeleteKafkaUser(ctx, who.Name, in.Cluster, in.Name)
}

func (a *api) caPEM(ctx context.Context, in *ClusterPath) (*huma.StreamResponse, error) {
	c, err := a.Service.Cluster(ctx, in.Cluster)
	if err != nil {
		return nil, err
	}
	pem, err := readCA(c)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		ctx.SetHeader("Content-Type", "application/x-pem-file")
		ctx.SetHeader("Content-Disposition", `attachment; filename="`+c.Name+`-ca.pem"`)
		ctx.SetStatus(200)
		_, _ = ctx.BodyWriter().Write(pem) // the client may be gone
	}}, nil
}

var errNoTLS = huma.Error404NotFound("this cluster has no TLS, so there is no certificate")

func readCA(c controlplane.ClusterView) ([]byte, error) {
	if c.CA == "" {
		return nil, errNoTLS
	}
	pem, err := os.ReadFile(c.CA)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, huma.Error404NotFound("the certificate is not there yet: the cluster is being made")
	}
	return pem, err
}

func (a *api) brokerLog(ctx context.Context, in *struct {
	ClusterPath
	Broker int32 `path:"broker" minimum:"1" maximum:"9999"`
	Lines  int   `query:"lines" minimum:"1" maximum:"5000" default:"200"`
}) (*answer[LogLines], error) {
	lines, err := a.Service.BrokerLog(ctx, in.Cluster, in.Broker, in.Lines)
	return body(LogLines{lines}, err)
}

func (a *api) export(ctx context.Context, in *clusterAsk[ExportBody]) (*answer[Files], error) {
	if !filepath.IsAbs(in.Body.Dir) {
		return nil, &spec.FieldError{Field: "dir", Value: in.Body.Dir, Rule: "must be an absolute path on the machine of the service"}
	}
	files, err := a.Service.Export(ctx, in.Cluster, filepath.Clean(in.Body.Dir))
	return body(Files{files}, err)
}
