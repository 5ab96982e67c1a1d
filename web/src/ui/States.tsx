import { Alert, Button, Group, Skeleton, Stack, Text, Title } from '@mantine/core';
import { AlertTriangle, Lock, type LucideIcon, RotateCw } from 'lucide-react';
import type { ReactNode } from 'react';
import type { ApiError } from '@/api/client';
import { useSpeech } from '@/lib/i18n';

/** What a refusal of the service says to a person. */
export function useErrorText(): (error: ApiError) => string {
  const { t, say } = useSpeech();
  return (error) => {
    if (error.status === 0) return t.errors.offline;
    const fields = Object.entries(error.fields).map(([field, rule]) => `${field}: ${rule}`);
    return [say(error.message), ...fields].filter(Boolean).join('\n');
  };
}

export function ErrorState({ error, onRetry }: { error: ApiError; onRetry?: () => void }) {
  const { t } = useSpeech();
  const text = useErrorText();
  const forbidden = error.status === 403;
  return (
    <Alert
      variant="default"
      radius="lg"
      icon={forbidden ? <Lock size={20} /> : <AlertTriangle size={20} color="var(--weir-bad)" />}
      title={forbidden ? t.errors.forbidden : t.errors.loadTitle}
    >
      <Text fz="sm" style={{ whiteSpace: 'pre-line' }}>
        {text(error)}
      </Text>
      {error.requestId && (
        <Text fz="xs" c="dimmed" mt={4}>
          {t.errors.requestId} {error.requestId}
        </Text>
      )}
      {onRetry && (
        <Button mt="sm" size="xs" variant="default" leftSection={<RotateCw size={14} />} onClick={onRetry}>
          {t.common.retry}
        </Button>
      )}
    </Alert>
  );
}

/** A refusal inside a form or drawer. */
export function ErrorNote({ error }: { error: ApiError | null }) {
  const text = useErrorText();
  if (!error) return null;
  return (
    <Note tone="bad">
      <span style={{ whiteSpace: 'pre-line' }}>{text(error)}</span>
    </Note>
  );
}

export function Note({
  tone,
  children,
  right,
}: {
  tone: 'ok' | 'warn' | 'bad' | 'run' | 'off';
  children: ReactNode;
  right?: ReactNode;
}) {
  return (
    <Group
      role={tone === 'bad' || tone === 'warn' ? 'alert' : 'status'}
      wrap="nowrap"
      justify="space-between"
      gap="md"
      px="md"
      py="sm"
      style={{ borderRadius: 10, background: `var(--weir-${tone}-bg)`, color: `var(--weir-${tone})` }}
    >
      <Text fz="sm" fw={500} component="div" c="inherit">
        {children}
      </Text>
      {right}
    </Group>
  );
}

export function Empty({
  icon: Icon,
  title,
  children,
}: {
  icon: LucideIcon;
  title: string;
  children?: ReactNode;
}) {
  return (
    <Stack align="center" gap="xs" py="xl" px="md" ta="center">
      <Icon size={34} color="var(--weir-accent)" strokeWidth={1.6} aria-hidden />
      <Title order={3} fz="md">
        {title}
      </Title>
      {children && (
        <Text c="dimmed" fz="sm" maw={460} component="div">
          {children}
        </Text>
      )}
    </Stack>
  );
}

export function Loading({ rows = 3, height = 90 }: { rows?: number; height?: number }) {
  const { t } = useSpeech();
  return (
    <Stack role="status" aria-label={t.common.loading}>
      {Array.from({ length: rows }, (_, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: grey boxes are all alike
        <Skeleton key={i} height={height} radius="lg" />
      ))}
    </Stack>
  );
}
