import { useComputedColorScheme } from '@mantine/core';
import { useElementSize } from '@mantine/hooks';
import { useEffect, useMemo, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { seriesColors } from '@/lib/theme';

export interface Line {
  label: string;
  points: readonly (readonly number[])[];
}

interface Props {
  lines: Line[];
  /** What a screen reader says of it. */
  label: string;
  format: (value: number) => string;
  /** Seconds shown at most, up to now. */
  seconds: number;
  height?: number;
  filled?: boolean;
  /** Bytes: ticks at powers of two. */
  binary?: boolean;
  /** The values under the pointer, or null when it has left. */
  onPoint?: (values: (number | null)[] | null, at: number | null) => void;
}

/** Lines with different times on one common axis, as uPlot wants them: seconds. */
export function align(lines: Line[]): uPlot.AlignedData {
  const times = [...new Set(lines.flatMap((l) => l.points.map((p) => p[0] ?? 0)))].sort((a, b) => a - b);
  const at = new Map(times.map((t, i) => [t, i]));
  const columns = lines.map((l) => {
    const column: (number | null)[] = new Array(times.length).fill(null);
    for (const [t, v] of l.points) {
      const i = at.get(t ?? 0);
      if (i !== undefined) column[i] = v ?? null;
    }
    return column;
  });
  return [times.map((t) => t / 1000), ...columns];
}

// A graph of something young is not mostly empty, nor stretched out of a few moments.
const least = 120;

/** Where a graph begins, in seconds: so many before now, or where its lines do. */
export function beginning(first: number | undefined, seconds: number, now: number): number {
  const all = now - seconds;
  return first === undefined ? all : Math.max(all, Math.min(first, now - Math.min(least, seconds)));
}

// Whole minutes, in seconds: what the times of the axis show.
const steps = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880].map((m) => m * 60);

const powers = Array.from({ length: 60 }, (_, i) => 2 ** i);

/** The one graph of the pages. */
export function TimeSeries({ lines, label, format, seconds, height = 150, filled, binary, onPoint }: Props) {
  const scheme = useComputedColorScheme('light');
  const { ref: box, width } = useElementSize<HTMLDivElement>();
  const plot = useRef<uPlot | null>(null);
  const host = useRef<HTMLDivElement>(null);
  const data = useMemo(() => align(lines), [lines]);
  const latest = useRef({ data, format, onPoint, seconds });
  latest.current = { data, format, onPoint, seconds };
  const labels = lines.map((l) => l.label).join('\n');

  // A new plot only when its shape changes; data are put into the one there is.
  useEffect(() => {
    if (!host.current || width === 0) return;
    const axis: uPlot.Axis = {
      stroke: scheme === 'dark' ? '#9fb0bd' : '#566672',
      font: "11px 'Inter Variable', sans-serif",
      grid: { stroke: scheme === 'dark' ? '#22303b' : '#e9eff3', width: 1 },
      ticks: { show: false },
    };
    const colors = seriesColors[scheme];
    plot.current = new uPlot(
      {
        width,
        height,
        padding: [8, 18, 0, 0],
        legend: { show: false },
        cursor: { y: false, points: { size: 6 }, drag: { x: false, y: false } },
        scales: {
          x: {
            range: () => {
              const now = Date.now() / 1000;
              return [beginning(latest.current.data[0][0], latest.current.seconds, now), now];
            },
          },
          y: { range: (_, min, max) => [Math.min(0, min ?? 0), max > 0 ? max * 1.12 : 1] },
        },
        axes: [
          { ...axis, size: 30, gap: 6, space: 70, incrs: steps, values: '{HH}:{mm}' },
          {
            ...axis,
            size: 66,
            space: 30,
            incrs: binary ? powers : undefined,
            values: (_, ticks) => ticks.map((v) => latest.current.format(v)),
          },
        ],
        series: [
          {},
          ...labels.split('\n').map((name, i) => {
            const color = colors[i % colors.length] ?? colors[0];
            return {
              label: name,
              stroke: color,
              width: 1.75,
              points: { show: false },
              fill: filled ? `${color}1f` : undefined,
              spanGaps: false,
            };
          }),
        ],
        hooks: {
          setCursor: [
            (u) => {
              const i = u.cursor.idx;
              const seen = i !== null && i !== undefined && (u.cursor.left ?? -1) >= 0;
              latest.current.onPoint?.(
                seen ? u.data.slice(1).map((column) => column[i] ?? null) : null,
                seen ? (u.data[0][i] ?? null) : null,
              );
            },
          ],
        },
      },
      latest.current.data,
      host.current,
    );
    return () => plot.current?.destroy();
  }, [width, height, scheme, labels, filled, binary]);

  useEffect(() => {
    plot.current?.setData(data);
  }, [data]);

  return (
    <div ref={box} role="img" aria-label={label} style={{ height, minWidth: 0 }}>
      <div ref={host} />
    </div>
  );
}
