import { Box, Group, List, Stack, Text, Title } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { Check, X } from 'lucide-react';
import type { JournalEntry } from '@/api/types';
import { ago, dateTime, duration } from '@/lib/format';
import { useSpeech } from '@/lib/i18n';
import { StatusBadge, StatusIcon } from '@/ui/Status';
import { useNow } from '@/ui/useNow';
import classes from './healing.module.css';

/** One anomaly: what was seen, what could be done, what was chosen and why, how it ended. */
export function Entry({ entry, last }: { entry: JournalEntry; last: boolean }) {
  const { t, say, language } = useSpeech();
  const now = useNow();
  const anomaly = t.healing.anomalies[entry.anomaly]?.(entry.broker ?? 0) ?? entry.anomaly;
  const choiceName = (name: string) => t.healing.choices[name] ?? say(name);
  const ended = Boolean(entry.endedAt);
  const seconds = (new Date(entry.endedAt ?? now).getTime() - new Date(entry.at).getTime()) / 1000;
  const waits = entry.choice === 'brake' || entry.choice === 'give-up';
  const tone = ended ? 'ok' : waits ? 'bad' : 'run';
  return (
    <article className={classes.entry} data-last={last} data-anomaly={entry.anomaly} data-ended={ended}>
      <div className={classes.mark}>
        <StatusIcon tone={tone} size={20} />
      </div>
      <Stack gap="sm" style={{ minWidth: 0 }}>
        <Group justify="space-between" gap="xs">
          <Title order={3} fz="sm">
            {anomaly}
          </Title>
          <Group gap="xs">
            <Text fz="xs" c="dimmed" title={dateTime(entry.at, language)}>
              {ago(entry.at, now, language)}
            </Text>
            <StatusBadge tone={tone}>
              {ended ? t.healing.mended(duration(seconds, language)) : t.healing.open}
            </StatusBadge>
          </Group>
        </Group>

        <Section label={t.healing.evidence}>
          <List fz="sm" spacing={2}>
            {(entry.evidence ?? []).map((e) => (
              <List.Item key={e}>{say(e)}</List.Item>
            ))}
          </List>
        </Section>

        <Section label={t.healing.options}>
          <Stack gap={4}>
            {(entry.options ?? []).map((o) => {
              const chosen = o.name === entry.choice;
              return (
                <Group
                  key={o.name}
                  gap={8}
                  wrap="nowrap"
                  align="flex-start"
                  className={chosen ? classes.chosen : classes.option}
                >
                  {chosen ? (
                    <Check
                      size={16}
                      color="var(--weir-ok)"
                      aria-label={t.healing.chosen}
                      className={classes.icon}
                    />
                  ) : (
                    <X
                      size={16}
                      color="var(--weir-off)"
                      aria-label={t.healing.whyNot}
                      className={classes.icon}
                    />
                  )}
                  <Text fz="sm">
                    <b>{choiceName(o.name)}</b>
                    <Text span c="dimmed" fz="sm">
                      {' — '}
                      {say(chosen ? entry.why : o.whyNot)}
                    </Text>
                  </Text>
                </Group>
              );
            })}
          </Stack>
        </Section>

        {entry.result && (
          <Section label={t.healing.result}>
            <Text fz="sm">{say(entry.result)}</Text>
          </Section>
        )}
        {entry.action && (
          <Text
            component={Link}
            to={`/operations/${entry.action}`}
            fz="sm"
            c="var(--weir-accent)"
            w="fit-content"
          >
            {t.healing.operation}
          </Text>
        )}
      </Stack>
    </article>
  );
}

function Section({ label, children }: { label: string; children: React.ReactNode }) {
  return (
    <Box>
      <Text fz={11} fw={700} c="dimmed" tt="uppercase" mb={3} style={{ letterSpacing: '0.04em' }}>
        {label}
      </Text>
      {children}
    </Box>
  );
}
