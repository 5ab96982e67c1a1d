import { useMemo } from 'react';

/** A line without axes; the words beside it say what it shows. */
export function Sparkline({
  points,
  color,
  height = 34,
}: {
  points: number[];
  color: string;
  height?: number;
}) {
  const path = useMemo(() => {
    if (points.length < 2) return null;
    const top = Math.max(...points, 1e-9);
    const x = (i: number) => (i / (points.length - 1)) * 100;
    const y = (v: number) => 28 - (v / top) * 25;
    const line = points.map((v, i) => `${i ? 'L' : 'M'}${x(i).toFixed(2)} ${y(v).toFixed(2)}`).join('');
    return { line, area: `${line}L100 30L0 30Z` };
  }, [points]);
  return (
    <svg
      viewBox="0 0 100 30"
      preserveAspectRatio="none"
      width="100%"
      height={height}
      aria-hidden="true"
      focusable="false"
    >
      {path ? (
        <>
          <path d={path.area} fill={color} opacity={0.13} />
          <path
            d={path.line}
            fill="none"
            stroke={color}
            strokeWidth={1.6}
            vectorEffect="non-scaling-stroke"
            strokeLinejoin="round"
          />
        </>
      ) : (
        <path
          d="M0 28H100"
          stroke="var(--weir-line)"
          strokeWidth={1.5}
          vectorEffect="non-scaling-stroke"
          strokeDasharray="4 4"
        />
      )}
    </svg>
  );
}
