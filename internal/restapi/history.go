package restapi

import (
	"context"

	"github.com/weir-stream/weir/internal/controlplane/spec"
)

func (a *api) operations(ctx context.Context, in *page) (*answer[Operations], error) {
	ops, err := a.Service.Operations(ctx, in.Cluster, in.Limit, in.Before)
	if err != nil {
		return nil, err
	}
	out := Operations{}
	for _, op := range ops {
		short := *op
		short.Log = nil
		out.Operations = append(out.Operations, &short)
	}
	return body(out, nil)
}

type operationPath struct {
	ID string `path:"id" pattern:"^[A-Za-z0-9_-]{1,100}$"`
}

func (a *api) operation(ctx context.Context, in *operationPath) (*answer[*spec.Operation], error) {
	return body(a.Service.Operation(ctx, in.ID))
}

func (a *api) cancel(ctx context.Context, in *operationPath) (*accepted, error) {
	who, _ := caller(ctx)
	if err := a.Service.Cancel(ctx, who.Name, in.ID); err != nil {
		return nil, err
	}
	return begun(a.Service.Operation(ctx, in.ID))
}

func (a *api) journal(ctx context.Context, in *page) (*answer[Journal], error) {
	entries, err := a.Service.Journal(ctx, in.Cluster, in.Limit, in.Before)
	return body(Journal{entries}, err)
}
