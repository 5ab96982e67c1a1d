import {
  ActionIcon,
  Button,
  Group,
  NumberInput,
  Radio,
  Select,
  SimpleGrid,
  Stack,
  Text,
  TextInput,
} from '@mantine/core';
import { Plus, Trash2 } from 'lucide-react';
import type { EngineInfo } from '@/api/types';
import { parseBytes } from '@/lib/format';
import { useSpeech } from '@/lib/i18n';
import { Card } from '@/ui/Card';
import { Note } from '@/ui/States';
import classes from './create.module.css';
import { type Draft, refusalOf } from './draft';

interface Props {
  draft: Draft;
  change: (part: Partial<Draft>) => void;
  refused: Record<string, string>;
}

export function NameSection({ draft, change, refused }: Props) {
  const { t, say } = useSpeech();
  return (
    <Card>
      <TextInput
        label={t.create.name}
        description={t.create.nameHelp}
        placeholder="orders"
        value={draft.name}
        onChange={(e) => change({ name: e.currentTarget.value })}
        error={say(refusalOf(refused, 'name'))}
        autoComplete="off"
        spellCheck={false}
        data-autofocus
        size="md"
      />
    </Card>
  );
}

export function EngineSection({ draft, change, refused, engines }: Props & { engines: EngineInfo[] }) {
  const { t, say } = useSpeech();
  const chosen = engines.find((e) => e.name === draft.engine);
  return (
    <Card title={t.create.engine}>
      <Radio.Group
        value={draft.engine}
        onChange={(name) =>
          change({ engine: name, version: engines.find((e) => e.name === name)?.default ?? '' })
        }
        aria-label={t.create.engine}
        error={say(refusalOf(refused, 'engine'))}
      >
        <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
          {engines.map((e) => (
            <Radio.Card
              key={e.name}
              value={e.name}
              className={classes.option}
              p="md"
              radius="md"
              disabled={!e.ready}
            >
              <Group justify="space-between" wrap="nowrap">
                <Text fw={650}>{t.create.engines[e.name] ?? e.name}</Text>
                <Radio.Indicator />
              </Group>
              <Text fz="xs" c="dimmed" mt={4}>
                {t.create.engineText[e.name]}
              </Text>
              {!e.ready && (
                <Text fz="xs" mt="xs" c="var(--weir-warn)" fw={600}>
                  {t.create.notReady}: {say(e.problem)}
                </Text>
              )}
            </Radio.Card>
          ))}
        </SimpleGrid>
      </Radio.Group>
      {(chosen?.versions?.length ?? 0) > 1 && (
        <Select
          mt="md"
          label={t.create.version}
          data={chosen?.versions ?? []}
          value={draft.version}
          allowDeselect={false}
          onChange={(v) => change({ version: v ?? draft.version })}
          error={say(refusalOf(refused, 'engineVersion'))}
          maw={220}
        />
      )}
      {chosen && (
        <Stack mt="md">
          <Note tone={chosen.capabilities.secured ? 'ok' : 'warn'}>
            {chosen.capabilities.secured ? t.create.tls : t.create.open}
          </Note>
        </Stack>
      )}
    </Card>
  );
}

export function SizeSection({ draft, change, refused, maxBrokers }: Props & { maxBrokers: number }) {
  const { t, say } = useSpeech();
  const sizeError = (text: string, ...fields: string[]) =>
    parseBytes(text) === undefined ? t.create.sizeWrong : say(refusalOf(refused, ...fields));
  return (
    <Card title={t.create.size}>
      <SimpleGrid cols={{ base: 1, xs: 3 }} spacing="md">
        <NumberInput
          label={t.create.brokers}
          min={1}
          max={maxBrokers || 64}
          value={draft.brokers}
          onChange={(v) => change({ brokers: Number(v) || 0 })}
          error={say(refusalOf(refused, 'brokers'))}
        />
        <TextInput
          label={t.create.memory}
          value={draft.memory}
          onChange={(e) => change({ memory: e.currentTarget.value })}
          error={sizeError(draft.memory, 'memoryBytes')}
        />
        <TextInput
          label={t.create.disk}
          value={draft.disk}
          onChange={(e) => change({ disk: e.currentTarget.value })}
          error={sizeError(draft.disk, 'diskBytes')}
        />
      </SimpleGrid>
      <TextInput
        mt="md"
        label={t.create.racks}
        description={t.create.racksHelp}
        placeholder={t.create.racksPlaceholder}
        value={draft.racks}
        onChange={(e) => change({ racks: e.currentTarget.value })}
        error={say(refusalOf(refused, 'racks'))}
      />
    </Card>
  );
}

export function AdvancedSection({ draft, change, refused }: Props) {
  const { t, say } = useSpeech();
  const put = (i: number, part: Partial<Draft['settings'][number]>) =>
    change({ settings: draft.settings.map((s, at) => (at === i ? { ...s, ...part } : s)) });
  return (
    <Card title={t.create.settings} subtitle={t.create.settingsHelp}>
      <Stack gap="sm">
        {draft.settings.map((s, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: rows are told apart by their place while they are typed
          <Group key={i} align="flex-start" wrap="nowrap" gap="xs">
            <TextInput
              aria-label={t.create.settingName}
              placeholder="log.retention.hours"
              value={s.key}
              onChange={(e) => put(i, { key: e.currentTarget.value })}
              error={s.key ? say(refused[`settings.${s.key}`]) || undefined : undefined}
              ff="monospace"
              style={{ flex: 3 }}
              spellCheck={false}
            />
            <TextInput
              aria-label={t.create.settingValue}
              placeholder="168"
              value={s.value}
              onChange={(e) => put(i, { value: e.currentTarget.value })}
              style={{ flex: 2 }}
              spellCheck={false}
            />
            <ActionIcon
              variant="subtle"
              color="gray"
              c="dimmed"
              size="lg"
              aria-label={t.create.removeSetting(s.key)}
              onClick={() => change({ settings: draft.settings.filter((_, at) => at !== i) })}
            >
              <Trash2 size={16} />
            </ActionIcon>
          </Group>
        ))}
        <div>
          <Button
            variant="default"
            size="xs"
            leftSection={<Plus size={14} />}
            onClick={() => change({ settings: [...draft.settings, { key: '', value: '' }] })}
          >
            {t.create.addSetting}
          </Button>
        </div>
      </Stack>
    </Card>
  );
}
