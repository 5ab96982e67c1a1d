import { Button, Group, List, SimpleGrid, Stack, Text } from '@mantine/core';
import { AlertTriangle, Clock, HardDriveDownload, RotateCw, Undo2 } from 'lucide-react';
import { type ReactNode, useState } from 'react';
import type { Plan } from '@/api/types';
import { bytes, duration } from '@/lib/format';
import { useSpeech } from '@/lib/i18n';
import { Note } from '@/ui/States';
import classes from './plan.module.css';

const short = 8;

/** What an operation would do, at which cost and risk. */
export function PlanView({ plan }: { plan: Plan }) {
  const { t, say, language } = useSpeech();
  const [all, showAll] = useState(false);
  if (plan.impossible) {
    return (
      <Note tone="bad">
        <b>{t.plan.impossible}.</b> {say(plan.impossible)}
      </Note>
    );
  }
  const steps = plan.steps ?? [];
  const risks = plan.risks ?? [];
  const moved = plan.partitionsToMove > 0;
  return (
    <Stack gap="lg">
      <Text fw={600}>{say(plan.summary)}</Text>
      <SimpleGrid cols={3} spacing="sm">
        <Fact
          icon={<Clock size={15} />}
          label={t.plan.time}
          value={t.plan.about(duration(plan.estimatedSeconds, language))}
        />
        <Fact
          icon={<HardDriveDownload size={15} />}
          label={t.plan.moves}
          value={moved ? bytes(plan.bytesToMove) : t.plan.nothingMoves}
          more={moved ? t.plan.partitions(plan.partitionsToMove) : undefined}
        />
        <Fact
          icon={<RotateCw size={15} />}
          label={t.plan.restarts}
          value={plan.restarts > 0 ? String(plan.restarts) : t.plan.noRestarts}
        />
      </SimpleGrid>
      <div>
        <Text fz="xs" c="dimmed" fw={600} mb={6}>
          {steps.length ? t.plan.steps(steps.length) : t.plan.nothing}
        </Text>
        <ol className={classes.steps}>
          {(all ? steps : steps.slice(0, short)).map((s, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: steps have no identity but their place
            <li key={i}>{say(s.title)}</li>
          ))}
        </ol>
        {!all && steps.length > short && (
          <Button variant="subtle" size="compact-xs" mt={4} onClick={() => showAll(true)}>
            {t.plan.showMore(steps.length - short)}
          </Button>
        )}
      </div>
      <div>
        <Group gap={6} mb={6}>
          <AlertTriangle
            size={15}
            color={risks.length ? 'var(--weir-warn)' : 'var(--mantine-color-dimmed)'}
            aria-hidden
          />
          <Text fz="xs" c="dimmed" fw={600}>
            {t.plan.risks}
          </Text>
        </Group>
        {risks.length === 0 ? (
          <Text fz="sm">{t.plan.noRisks}</Text>
        ) : (
          <List fz="sm" spacing={4}>
            {risks.map((r) => (
              <List.Item key={r}>{say(r)}</List.Item>
            ))}
          </List>
        )}
      </div>
      {plan.undo && (
        <div>
          <Group gap={6} mb={6}>
            <Undo2 size={15} color="var(--mantine-color-dimmed)" aria-hidden />
            <Text fz="xs" c="dimmed" fw={600}>
              {t.plan.undo}
            </Text>
          </Group>
          <Text fz="sm">{say(plan.undo)}</Text>
        </div>
      )}
    </Stack>
  );
}

function Fact({
  icon,
  label,
  value,
  more,
}: {
  icon: ReactNode;
  label: string;
  value: string;
  more?: string;
}) {
  return (
    <div className={classes.fact}>
      <Group gap={5} c="dimmed" wrap="nowrap">
        {icon}
        <Text fz="xs" fw={600} c="inherit">
          {label}
        </Text>
      </Group>
      <Text fw={650} mt={3} className="weir-number" fz="sm">
        {value}
      </Text>
      {more && (
        <Text fz="xs" c="dimmed">
          {more}
        </Text>
      )}
    </div>
  );
}
