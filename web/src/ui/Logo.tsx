/** Water that steps down: a weir. */
export function Logo({ size = 30 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="8" fill="#0b7285" />
      <path
        d="M5 10.5h7.5c2.2 0 3 1.3 3 3.5s.8 3.5 3 3.5H27"
        fill="none"
        stroke="#fff"
        strokeWidth="2.6"
        strokeLinecap="round"
      />
      <path
        d="M5 16.5h4c2.2 0 3 1.3 3 3.5s.8 3.5 3 3.5h12"
        fill="none"
        stroke="#fff"
        strokeOpacity=".6"
        strokeWidth="2.6"
        strokeLinecap="round"
      />
    </svg>
  );
}
