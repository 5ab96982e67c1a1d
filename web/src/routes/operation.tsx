import { Button, Grid, Group, Stack } from '@mantine/core';
import { Link, useParams } from '@tanstack/react-router';
import { ArrowLeft } from 'lucide-react';
import { useClusters, useOperation } from '@/api/hooks';
import { CancelButton } from '@/features/operations/OperationBanner';
import { OperationFacts, OperationLog, OperationSteps } from '@/features/operations/OperationParts';
import { useSpeech } from '@/lib/i18n';
import { PageHead } from '@/ui/Page';
import { ErrorState, Loading, Note } from '@/ui/States';
import { StatusBadge, toneOf } from '@/ui/Status';

export function OperationPage() {
  const { t, say } = useSpeech();
  const { operation: id } = useParams({ strict: false }) as { operation: string };
  const operation = useOperation(id);
  const clusters = useClusters();
  if (operation.isPending) return <Loading rows={3} height={140} />;
  if (!operation.data)
    return operation.error && <ErrorState error={operation.error} onRetry={() => operation.refetch()} />;
  const op = operation.data;
  const cluster = clusters.data?.find((c) => c.id === op.cluster || c.name === op.cluster);
  const kind = t.operations.kinds[op.kind] ?? op.kind;
  return (
    <>
      <PageHead
        title={cluster ? `${kind}: ${cluster.name}` : kind}
        badge={<StatusBadge tone={toneOf(op.state)}>{t.states[op.state]}</StatusBadge>}
        subtitle={say(op.plan.summary)}
        right={
          <Group gap="xs">
            {cluster ? (
              <Button
                component={Link}
                to={`/c/${cluster.name}`}
                variant="default"
                size="xs"
                leftSection={<ArrowLeft size={14} />}
              >
                {t.operations.toCluster}
              </Button>
            ) : (
              <Button
                component={Link}
                to="/"
                variant="default"
                size="xs"
                leftSection={<ArrowLeft size={14} />}
              >
                {t.app.toFleet}
              </Button>
            )}
            <CancelButton operation={op} />
          </Group>
        }
      />
      <Stack gap="lg">
        {op.error && <Note tone="bad">{say(op.error)}</Note>}
        <OperationFacts operation={op} />
        <Grid gap="lg">
          <Grid.Col span={{ base: 12, md: 6 }}>
            <OperationSteps operation={op} />
          </Grid.Col>
          <Grid.Col span={{ base: 12, md: 6 }}>
            <OperationLog operation={op} />
          </Grid.Col>
        </Grid>
      </Stack>
    </>
  );
}
