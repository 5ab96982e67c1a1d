import { Button, Group, Stack, Tabs, Text } from '@mantine/core';
import { Download } from 'lucide-react';
import type { Connect } from '@/api/types';
import { useSpeech } from '@/lib/i18n';
import { Card } from '@/ui/Card';
import { CodeBlock, CopyLine } from '@/ui/Code';

/** Where the cluster is and what it takes to get in. */
export function ConnectCard({ cluster, connect }: { cluster: string; connect: Connect }) {
  const { t } = useSpeech();
  return (
    <Card title={t.connect.title} subtitle={t.connect.subtitle}>
      <Stack gap="md">
        <CopyLine label={t.connect.bootstrap} value={(connect.bootstrap ?? []).join(',')} />
        <div>
          <Text fz="xs" c="dimmed" fw={600}>
            {t.connect.security}
          </Text>
          <Text fz="sm" fw={600}>
            {connect.securityProtocol}
            {connect.mechanism ? ` · ${connect.mechanism}` : ''}
          </Text>
        </div>
        {connect.clientPropertiesPath && (
          <CopyLine label={t.connect.properties} value={connect.clientPropertiesPath} />
        )}
        {connect.caPath && <CopyLine label={t.connect.ca} value={connect.caPath} />}
        {connect.caPem && (
          <Group>
            <Button
              component="a"
              href={`/api/v1/clusters/${encodeURIComponent(cluster)}/ca.pem`}
              download={`${cluster}-ca.pem`}
              variant="default"
              size="xs"
              leftSection={<Download size={14} />}
            >
              {t.connect.downloadCa}
            </Button>
          </Group>
        )}
      </Stack>
    </Card>
  );
}

/** The same few lines in each language. */
export function SnippetsCard({ connect }: { connect: Connect }) {
  const { t } = useSpeech();
  const snippets = connect.snippets ?? [];
  if (snippets.length === 0) return null;
  return (
    <Card title={t.connect.snippets} subtitle={t.connect.snippetsHelp}>
      <Tabs defaultValue="0" keepMounted={false}>
        <Tabs.List mb="md">
          {snippets.map((s, i) => (
            <Tabs.Tab key={s.title} value={String(i)}>
              {t.connect.languages[s.language] ?? s.language}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {snippets.map((s, i) => (
          <Tabs.Panel key={s.title} value={String(i)}>
            <Text fz="sm" c="dimmed" mb="xs">
              {t.connect.titles[s.language] ?? s.title}
            </Text>
            <CodeBlock code={s.code} label={s.title} maxHeight={560} wrap />
          </Tabs.Panel>
        ))}
      </Tabs>
    </Card>
  );
}
