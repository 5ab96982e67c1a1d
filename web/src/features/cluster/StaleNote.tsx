import { ago } from '@/lib/format';
import { useSpeech } from '@/lib/i18n';
import { Note } from '@/ui/States';
import { useNow } from '@/ui/useNow';
import { useClusterPage } from './context';

const oldAfterMs = 30_000;

/** Says that what is shown is not of now, and how old it is. */
export function StaleNote() {
  const { t, say, language } = useSpeech();
  const { cluster } = useClusterPage();
  const now = useNow(5000);
  const o = cluster.observation;
  if (!o || cluster.state === 'STOPPED' || cluster.state === 'CREATING') return null;
  const age = now.getTime() - new Date(o.at).getTime();
  if (o.reachable && age < oldAfterMs) return null;
  return (
    <Note tone="warn">
      {age >= oldAfterMs ? t.errors.stale(ago(o.at, now, language)) : t.errors.unreachable}{' '}
      {!o.reachable && o.why ? say(o.why) : ''}
    </Note>
  );
}
