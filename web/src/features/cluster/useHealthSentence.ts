import type { ClusterView } from '@/api/types';
import { useSpeech } from '@/lib/i18n';

/** How the cluster is, in one sentence of the page's language. */
export function useHealthSentence(c: ClusterView): string {
  const { say } = useSpeech();
  return say(c.health || c.reason);
}
