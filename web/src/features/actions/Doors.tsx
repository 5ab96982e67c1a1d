import { Tabs, Text } from '@mantine/core';
import type { ReactNode } from 'react';
import { useSpeech } from '@/lib/i18n';
import { CodeBlock } from '@/ui/Code';

/** One action by three doors: the plan here, the command line, the API; YAML where there is something to keep. */
export function Doors({
  children,
  cli,
  api,
  yaml,
  yamlHint,
}: {
  children: ReactNode;
  /** undefined: the command line cannot do it. */
  cli: string | undefined;
  api: string;
  yaml?: string;
  yamlHint?: string;
}) {
  const { t } = useSpeech();
  return (
    <Tabs defaultValue="plan" keepMounted={false}>
      <Tabs.List mb="md">
        <Tabs.Tab value="plan">{t.common.plan}</Tabs.Tab>
        {yaml !== undefined && <Tabs.Tab value="yaml">{t.common.yaml}</Tabs.Tab>}
        <Tabs.Tab value="cli">{t.common.cli}</Tabs.Tab>
        <Tabs.Tab value="api">{t.common.api}</Tabs.Tab>
      </Tabs.List>
      <Tabs.Panel value="plan">{children}</Tabs.Panel>
      {yaml !== undefined && (
        <Tabs.Panel value="yaml">
          {yamlHint && (
            <Text fz="sm" c="dimmed" mb="xs">
              {yamlHint}
            </Text>
          )}
          <CodeBlock code={yaml} label={t.common.yaml} />
        </Tabs.Panel>
      )}
      <Tabs.Panel value="cli">
        <Text fz="sm" c="dimmed" mb="xs">
          {cli === undefined ? t.plan.noCli : t.plan.cliHelp}
        </Text>
        {cli !== undefined && <CodeBlock code={cli} label={t.common.cli} />}
      </Tabs.Panel>
      <Tabs.Panel value="api">
        <Text fz="sm" c="dimmed" mb="xs">
          {t.plan.apiHelp}
        </Text>
        <CodeBlock code={api} label={t.common.api} />
      </Tabs.Panel>
    </Tabs>
  );
}
