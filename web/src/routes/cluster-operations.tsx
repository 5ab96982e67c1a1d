import { useClusterPage } from '@/features/cluster/context';
import { OperationsTable } from '@/features/operations/OperationsTable';

export function ClusterOperations() {
  const { cluster } = useClusterPage();
  return <OperationsTable cluster={cluster.name} />;
}
