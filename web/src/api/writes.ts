import { useMutation, useQueryClient } from '@tanstack/react-query';
import { type ApiError, answer, api } from './client';
import { keys } from './keys';
import type * as T from './types';

/** Everything that changes something, one function for each verb of the service. */
export const send = {
  setup: (body: { secret: string; name: string; password: string }) => answer(api.POST('/setup', { body })),
  login: (body: { name: string; password: string }) => answer(api.POST('/login', { body })),
  logout: () => answer(api.POST('/logout')),
  createCluster: (body: T.CreateRequest) => answer(api.POST('/clusters', { body })),
  change: (cluster: string) => (body: T.ChangeRequest) =>
    answer(api.POST('/clusters/{cluster}/operations', { params: { path: { cluster } }, body })),
  cancel: (id: string) => answer(api.POST('/operations/{id}/cancel', { params: { path: { id } } })),
  simulate: (cluster: string) => (kill: number[]) =>
    answer(api.POST('/clusters/{cluster}/simulate', { params: { path: { cluster } }, body: { kill } })),
  createUser: (cluster: string) => (body: T.KafkaUserRequest) =>
    answer(api.POST('/clusters/{cluster}/users', { params: { path: { cluster } }, body })),
  deleteUser: (cluster: string) => (name: string) =>
    answer(api.DELETE('/clusters/{cluster}/users/{name}', { params: { path: { cluster, name } } })),
  createToken: (body: T.TokenBody) => answer(api.POST('/tokens', { body })),
  deleteToken: (id: string) => answer(api.DELETE('/tokens/{id}', { params: { path: { id } } })),
  createPerson: (body: T.PersonBody) => answer(api.POST('/people', { body })),
  deletePerson: (name: string) => answer(api.DELETE('/people/{name}', { params: { path: { name } } })),
};

interface Options<Body, Answer> {
  /** What must be read again; clusters and operations unless said otherwise. */
  touches?: readonly (readonly unknown[])[];
  onDone?: (answer: Answer, body: Body) => void;
}

/** A change of the service; what it may have changed is read again. */
export function useWrite<Body, Answer>(
  write: (body: Body) => Promise<Answer>,
  options: Options<Body, Answer> = {},
) {
  const client = useQueryClient();
  return useMutation<Answer, ApiError, Body>({
    mutationFn: write,
    onSuccess: (done, body) => {
      options.onDone?.(done, body);
      for (const key of options.touches ?? [keys.clusters, keys.operations])
        client.invalidateQueries({ queryKey: key });
    },
  });
}
