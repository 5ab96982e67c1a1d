import { ActionIcon, Group, Text, Title, Tooltip, useComputedColorScheme } from '@mantine/core';
import { HelpCircle } from 'lucide-react';
import { useMemo, useState } from 'react';
import { usePanel } from '@/api/hooks-more';
import type { Panel, PanelSeries } from '@/api/types';
import { clock, inUnit } from '@/lib/format';
import { type Messages, useSpeech } from '@/lib/i18n';
import { seriesColors } from '@/lib/theme';
import { TimeSeries } from '@/ui/TimeSeries';
import { Legend } from './Legend';

/** One graph with its name, the latest values and what it means. */
export function PanelCard({ cluster, panel, seconds }: { cluster: string; panel: Panel; seconds: number }) {
  const { t, language } = useSpeech();
  const scheme = useComputedColorScheme('light');
  const data = usePanel(cluster, panel.id, seconds);
  const [point, setPoint] = useState<{ values: (number | null)[]; at: number | null } | null>(null);
  const title = t.panels.titles[panel.id] ?? panel.title;
  const help = t.panels.helps[panel.id] ?? panel.help;
  const unit = data.data?.unit ?? panel.unit;
  const series = data.data?.series ?? [];
  const format = useMemo(() => (v: number) => inUnit(v, unit, language), [unit, language]);
  const lines = useMemo(
    () =>
      (data.data?.series ?? []).map((s) => ({
        label: nameOf(s, t, (data.data?.series?.length ?? 0) > 3),
        points: s.points ?? [],
      })),
    [data.data, t],
  );
  const latest = series.map((s) => s.points?.at(-1)?.[1] ?? null);
  const shown = point?.values ?? latest;
  const empty = lines.every((l) => l.points.length === 0);
  const colors = seriesColors[scheme];

  return (
    <section
      className="weir-card"
      style={{ padding: '14px 16px 10px', minWidth: 0 }}
      aria-label={title}
      data-panel={panel.id}
    >
      <Group justify="space-between" wrap="nowrap" gap={4}>
        <Title order={3} fz="sm" fw={600}>
          {title}
        </Title>
        <Group gap={4} wrap="nowrap">
          {point?.at && (
            <Text fz={11} c="dimmed" className="weir-number">
              {clock(new Date(point.at * 1000), language)}
            </Text>
          )}
          {help && (
            <Tooltip label={help} multiline maw={300} events={{ hover: true, focus: true, touch: true }}>
              <ActionIcon variant="transparent" size="xs" c="dimmed" aria-label={help}>
                <HelpCircle size={14} />
              </ActionIcon>
            </Tooltip>
          )}
        </Group>
      </Group>
      <Legend
        items={lines.map((l, i) => ({
          label: l.label,
          color: colors[i % colors.length] ?? '',
          value: inUnit(shown[i], unit, language),
        }))}
      />
      {empty ? (
        <Group h={150} justify="center">
          <Text fz="sm" c="dimmed">
            {data.isPending ? t.common.loading : t.panels.noData}
          </Text>
        </Group>
      ) : (
        <TimeSeries
          lines={lines}
          seconds={seconds}
          format={format}
          filled={panel.kind === 'area' || lines.length === 1}
          binary={unit.startsWith('bytes')}
          label={t.panels.graphOf(
            title,
            lines.map((l, i) => `${l.label} ${inUnit(latest[i], unit, language)}`).join(', '),
          )}
          onPoint={(values, at) => setPoint(values ? { values, at } : null)}
        />
      )}
    </section>
  );
}

function nameOf(s: PanelSeries, t: Messages, many: boolean): string {
  if (s.broker) return many ? String(s.broker) : t.panels.broker(s.broker);
  return t.panels.lines[s.name] ?? (s.name || t.panels.total);
}
