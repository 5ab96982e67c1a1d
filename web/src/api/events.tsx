import { useQueryClient } from '@tanstack/react-query';
import { createContext, type ReactNode, useContext, useEffect, useState } from 'react';

const Live = createContext(false);

/** Whether changes arrive as they happen. */
export function useLive(): boolean {
  return useContext(Live);
}

// Which reads an event makes old.
const touched: Record<string, string[]> = {
  cluster: ['clusters', 'connect'],
  operation: ['operations', 'clusters'],
  journal: ['journal', 'clusters'],
  resync: ['clusters', 'operations', 'journal', 'connect'],
};

/** Listens to the service and has changed things read again, a few times a second at most. */
export function LiveProvider({ children, enabled }: { children: ReactNode; enabled: boolean }) {
  const client = useQueryClient();
  const [live, setLive] = useState(false);

  useEffect(() => {
    if (!enabled || typeof EventSource === 'undefined') return;
    const old = new Set<string>();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const flush = () => {
      timer = undefined;
      for (const key of old) client.invalidateQueries({ queryKey: [key] });
      old.clear();
    };
    const source = new EventSource('/api/v1/events');
    source.onopen = () => setLive(true);
    source.onerror = () => setLive(false); // the browser dials again by itself
    for (const [kind, reads] of Object.entries(touched)) {
      source.addEventListener(kind, () => {
        for (const key of reads) old.add(key);
        timer ??= setTimeout(flush, 250);
      });
    }
    return () => {
      clearTimeout(timer);
      source.close();
      setLive(false);
    };
  }, [client, enabled]);

  return <Live value={live}>{children}</Live>;
}
