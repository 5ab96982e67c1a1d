import { createContext, useContext } from 'react';
import type { ChangeRequest, ClusterView } from '@/api/types';

export interface ClusterPageState {
  cluster: ClusterView;
  /** Opens the drawer that shows the plan of a change. */
  propose: (change: ChangeRequest) => void;
  mayOperate: boolean;
  isAdmin: boolean;
}

export const ClusterContext = createContext<ClusterPageState | null>(null);

/** The cluster whose page this is. */
export function useClusterPage(): ClusterPageState {
  const state = useContext(ClusterContext);
  if (!state) throw new Error('outside of a cluster page');
  return state;
}
