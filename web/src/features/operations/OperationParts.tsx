import { Box, Group, SimpleGrid, Text } from '@mantine/core';
import { useEffect, useRef } from 'react';
import type { Operation, Step } from '@/api/types';
import { bytes, clock, dateTime, duration } from '@/lib/format';
import { useSpeech } from '@/lib/i18n';
import { Card } from '@/ui/Card';
import { Meter } from '@/ui/Meter';
import { StatusIcon, toneOf } from '@/ui/Status';
import { useNow } from '@/ui/useNow';
import { isOver, secondsLeft, share, tookSeconds } from './progress';

/** How far, who, when and how long. */
export function OperationFacts({ operation: op }: { operation: Operation }) {
  const { t, language } = useSpeech();
  const now = useNow();
  const took = tookSeconds(op, now);
  const left = secondsLeft(op, now);
  const part = share(op);
  const facts: [string, string][] = [
    [t.operations.actor, op.actor === 'healing' ? t.operations.healing : op.actor],
    [t.operations.begun, dateTime(op.startedAt ?? op.createdAt, language)],
    [t.operations.took, took === undefined ? '–' : duration(took, language)],
  ];
  return (
    <Card>
      <SimpleGrid cols={{ base: 1, xs: 3 }} mb={isOver(op) ? 0 : 'md'}>
        {facts.map(([label, value]) => (
          <div key={label}>
            <Text fz="xs" c="dimmed" fw={600}>
              {label}
            </Text>
            <Text fz="sm" fw={600} className="weir-number">
              {value}
            </Text>
          </div>
        ))}
      </SimpleGrid>
      {!isOver(op) && (
        <Meter
          value={part}
          label={t.operations.progress}
          right={`${Math.round(part * 100)}%${left === undefined ? '' : ` · ${t.cluster.timeLeft(duration(left, language))}`}`}
        />
      )}
    </Card>
  );
}

export function OperationSteps({ operation }: { operation: Operation }) {
  const { t } = useSpeech();
  return (
    <Card title={t.operations.steps}>
      <Box component="ol" m={0} p={0} style={{ listStyle: 'none' }}>
        {(operation.steps ?? []).map((s, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: steps have no identity but their place
          <StepRow key={i} step={s} />
        ))}
      </Box>
    </Card>
  );
}

function StepRow({ step }: { step: Step }) {
  const { t, say, language } = useSpeech();
  const now = useNow();
  const took = tookSeconds(step, now);
  const { progress } = step;
  const moves = step.state === 'RUNNING' && progress.bytesTotal > 0;
  return (
    <Box component="li" py={9} style={{ borderBottom: '1px solid var(--weir-line)' }}>
      <Group gap="sm" wrap="nowrap" align="flex-start">
        <Box pt={2} className={step.state === 'RUNNING' ? 'weir-pulse' : undefined}>
          <StatusIcon tone={toneOf(step.state)} size={17} />
        </Box>
        <div style={{ flex: 1, minWidth: 0 }}>
          <Group justify="space-between" wrap="nowrap" gap="sm" align="flex-start">
            <Text
              fz="sm"
              fw={step.state === 'RUNNING' ? 650 : 500}
              c={step.state === 'PENDING' || step.state === 'SKIPPED' ? 'dimmed' : undefined}
            >
              {say(step.name)}
            </Text>
            <Text fz="xs" c="dimmed" className="weir-number" style={{ whiteSpace: 'nowrap' }}>
              {took === undefined ? t.states[step.state] : duration(took, language)}
            </Text>
          </Group>
          {step.state === 'RUNNING' && progress.detail && (
            <Text fz="xs" c="dimmed">
              {say(progress.detail)}
            </Text>
          )}
          {moves && (
            <Box mt={6}>
              <Meter value={progress.bytesDone / progress.bytesTotal} label={say(step.name)} size={6} />
              <Text fz="xs" c="dimmed" mt={3} className="weir-number">
                {t.operations.bytesOf(bytes(progress.bytesDone), bytes(progress.bytesTotal))}
                {progress.secondsLeft >= 0 &&
                  ` · ${t.cluster.timeLeft(duration(progress.secondsLeft, language))}`}
              </Text>
            </Box>
          )}
          {step.error && (
            <Text fz="xs" c="var(--weir-bad)">
              {say(step.error)}
            </Text>
          )}
          {step.attempts > 1 && (
            <Text fz="xs" c="dimmed">
              {t.operations.attempts(step.attempts)}
            </Text>
          )}
        </div>
      </Group>
    </Box>
  );
}

export function OperationLog({ operation }: { operation: Operation }) {
  const { t, say, language } = useSpeech();
  const box = useRef<HTMLDivElement>(null);
  const lines = operation.log ?? [];
  // biome-ignore lint/correctness/useExhaustiveDependencies: new lines scroll into sight
  useEffect(() => {
    box.current?.scrollTo({ top: box.current.scrollHeight });
  }, [lines.length]);
  return (
    <Card title={t.operations.log}>
      {lines.length === 0 && (
        <Text fz="sm" c="dimmed">
          {t.operations.logEmpty}
        </Text>
      )}
      {lines.length > 0 && (
        <Box
          ref={box}
          role="log"
          aria-label={t.operations.log}
          tabIndex={0}
          p="sm"
          style={{ maxHeight: 460, overflow: 'auto', background: 'var(--weir-sunken)', borderRadius: 10 }}
        >
          {lines.map((l, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: lines only ever come after
            <Group key={i} gap="sm" wrap="nowrap" align="flex-start">
              <Text fz={12} c="dimmed" ff="monospace" style={{ flex: 'none' }}>
                {clock(l.at, language)}
              </Text>
              <Text fz={12.5} lh={1.6} style={{ overflowWrap: 'anywhere' }}>
                {say(l.text)}
              </Text>
            </Group>
          ))}
        </Box>
      )}
    </Card>
  );
}
