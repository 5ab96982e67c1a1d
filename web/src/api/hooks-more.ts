import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { type ApiError, answer, api } from './client';
import { keys } from './keys';
import type * as T from './types';

export function usePanels(cluster: string) {
  return useQuery<T.Panel[], ApiError>({
    queryKey: ['panels', cluster],
    queryFn: async ({ signal }) =>
      (await answer(api.GET('/clusters/{cluster}/panels', { params: { path: { cluster } }, signal })))
        .panels ?? [],
    staleTime: 300_000,
    retry: false,
  });
}

export function usePanel(cluster: string, id: string, seconds: number, enabled = true) {
  return useQuery<T.PanelData, ApiError>({
    queryKey: ['panel', cluster, id, seconds],
    queryFn: ({ signal }) =>
      answer(
        api.GET('/clusters/{cluster}/panels/{id}', {
          params: { path: { cluster, id }, query: { seconds } },
          signal,
        }),
      ),
    // A pixel's worth of time is enough.
    refetchInterval: Math.min(60_000, Math.max(5000, seconds * 3)),
    placeholderData: keepPreviousData,
    enabled,
    retry: false,
  });
}

export type PartitionState = 'offline' | 'under-replicated' | 'under-min-isr' | 'moving';

/** A page of the partitions as they were last seen. */
export function usePartitions(
  cluster: string,
  state: PartitionState | undefined,
  offset: number,
  limit: number,
) {
  return useQuery({
    queryKey: [...keys.clusters, cluster, 'partitions', state, offset],
    queryFn: ({ signal }) =>
      answer(
        api.GET('/clusters/{cluster}/partitions', {
          params: { path: { cluster }, query: { state, offset, limit } },
          signal,
        }),
      ),
    placeholderData: keepPreviousData,
    refetchInterval: 5000,
  });
}

export function useConnect(cluster: string) {
  return useQuery<T.Connect, ApiError>({
    queryKey: ['connect', cluster],
    queryFn: ({ signal }) =>
      answer(api.GET('/clusters/{cluster}/connect', { params: { path: { cluster } }, signal })),
  });
}

export function useKafkaUsers(cluster: string, enabled: boolean) {
  return useQuery<string[], ApiError>({
    queryKey: [...keys.users, cluster],
    queryFn: async ({ signal }) =>
      (await answer(api.GET('/clusters/{cluster}/users', { params: { path: { cluster } }, signal }))).users ??
      [],
    enabled,
  });
}

export function usePeople() {
  return useQuery({
    queryKey: keys.people,
    queryFn: async ({ signal }) => (await answer(api.GET('/people', { signal }))).people ?? [],
  });
}

export function useTokens() {
  return useQuery({
    queryKey: keys.tokens,
    queryFn: async ({ signal }) => (await answer(api.GET('/tokens', { signal }))).tokens ?? [],
  });
}
