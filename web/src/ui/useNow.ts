import { useEffect, useState } from 'react';

/** The time, moving on every second or so. */
export function useNow(everyMs = 1000): Date {
  const [now, set] = useState(() => new Date());
  useEffect(() => {
    const timer = setInterval(() => set(new Date()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
