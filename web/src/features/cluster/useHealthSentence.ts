import type { ClusterView } from '@/api/types';
import { useSpeech } from '@/lib/i18n';

/** How the cluster is, in one sentence of the page's language. */
export function useHealthSentence(c: ClusterView): string {
  const { say } = useSpeech();
  const sentence = say(c.health || c.reason);
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}
