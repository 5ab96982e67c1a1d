import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { ApiError, answer, api, rememberSession } from './client';
import { useLive } from './events';
import { keys } from './keys';
import type * as T from './types';

/** How often to ask: seldom while changes are pushed, often otherwise. */
function useInterval(busy = false): number {
  const live = useLive();
  if (busy) return live ? 2000 : 1000;
  return live ? 15_000 : 3000;
}

export function useStatus() {
  return useQuery({ queryKey: keys.status, queryFn: ({ signal }) => answer(api.GET('/status', { signal })) });
}

/** null: nobody is logged in. */
export function useSession() {
  return useQuery<T.Session | null, ApiError>({
    queryKey: keys.session,
    queryFn: async ({ signal }) => {
      const session = await answer(api.GET('/session', { signal })).catch((e: unknown) => {
        if (e instanceof ApiError && (e.status === 401 || e.status === 403)) return null;
        throw e;
      });
      rememberSession(session);
      return session;
    },
    staleTime: 60_000,
  });
}

export function useClusters() {
  const interval = useInterval();
  return useQuery<T.ClusterView[], ApiError>({
    queryKey: keys.clusters,
    queryFn: async ({ signal }) =>
      ((await answer(api.GET('/clusters', { signal }))).clusters ?? []) as T.ClusterView[],
    refetchInterval: interval,
  });
}

export function useCluster(cluster: string) {
  const idle = useInterval();
  const busy = useInterval(true);
  return useQuery<T.ClusterView, ApiError>({
    queryKey: [...keys.clusters, cluster],
    queryFn: async ({ signal }) =>
      (await answer(
        api.GET('/clusters/{cluster}', { params: { path: { cluster } }, signal }),
      )) as T.ClusterView,
    refetchInterval: (q) => (q.state.data?.operation || q.state.data?.healthLevel !== 'ok' ? busy : idle),
  });
}

export function useEngines() {
  return useQuery<T.EngineInfo[], ApiError>({
    queryKey: ['engines'],
    queryFn: async ({ signal }) => (await answer(api.GET('/engines', { signal }))).engines ?? [],
  });
}

export function useProfiles() {
  return useQuery<T.Profile[], ApiError>({
    queryKey: ['profiles'],
    queryFn: async ({ signal }) => (await answer(api.GET('/profiles', { signal }))).profiles ?? [],
    staleTime: Number.POSITIVE_INFINITY,
  });
}

export function usePlanCreate(body: T.CreateRequest | null) {
  return useQuery<{ cluster: T.Cluster; plan: T.Plan }, ApiError>({
    queryKey: ['plan-create', body],
    queryFn: ({ signal }) => answer(api.POST('/clusters/plan', { body: body as T.CreateRequest, signal })),
    enabled: body !== null,
    placeholderData: keepPreviousData,
    retry: false,
    staleTime: 5000,
  });
}

export function usePlanChange(cluster: string, body: T.ChangeRequest | null) {
  return useQuery<T.Plan, ApiError>({
    queryKey: ['plan-change', cluster, body],
    queryFn: ({ signal }) =>
      answer(
        api.POST('/clusters/{cluster}/plan', {
          params: { path: { cluster } },
          body: body as T.ChangeRequest,
          signal,
        }),
      ),
    enabled: body !== null,
    retry: false,
    gcTime: 0,
  });
}

export function useOperations(cluster: string, limit: number) {
  const interval = useInterval();
  return useQuery<T.Operation[], ApiError>({
    queryKey: [...keys.operations, cluster, limit],
    queryFn: async ({ signal }) =>
      (await answer(api.GET('/operations', { params: { query: { cluster, limit } }, signal }))).operations ??
      [],
    placeholderData: keepPreviousData,
    refetchInterval: interval,
  });
}

export function useOperation(id: string) {
  const busy = useInterval(true);
  return useQuery<T.Operation, ApiError>({
    queryKey: [...keys.operations, 'one', id],
    queryFn: ({ signal }) => answer(api.GET('/operations/{id}', { params: { path: { id } }, signal })),
    refetchInterval: (q) => (q.state.data?.endedAt || q.state.error?.status === 404 ? false : busy),
  });
}

export function useJournal(cluster: string, limit: number) {
  const interval = useInterval();
  return useQuery<T.JournalEntry[], ApiError>({
    queryKey: [...keys.journal, cluster, limit],
    queryFn: async ({ signal }) =>
      (await answer(api.GET('/journal', { params: { query: { cluster, limit } }, signal }))).entries ?? [],
    placeholderData: keepPreviousData,
    refetchInterval: interval,
  });
}

export function useBrokerLog(cluster: string, broker: number | null) {
  return useQuery<string[], ApiError>({
    queryKey: ['broker-log', cluster, broker],
    queryFn: async ({ signal }) => {
      const path = { cluster, broker: broker ?? 0 };
      const log = await answer(
        api.GET('/clusters/{cluster}/brokers/{broker}/log', {
          params: { path, query: { lines: 400 } },
          signal,
        }),
      );
      return log.lines ?? [];
    },
    enabled: broker !== null,
    refetchInterval: 3000,
  });
}
