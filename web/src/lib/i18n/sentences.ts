import { sentences } from './ko/sentences';

/**
 * A sentence of the service in Korean. The service speaks English; what it can
 * say is listed in ko/sentences.ts. Anything else stays as it is, so that
 * nothing is lost.
 */
export function inKorean(sentence: string): string {
  for (const [pattern, korean] of sentences) {
    const match = pattern.exec(sentence);
    if (match) return korean.replace(/\$(\d)/g, (_, n: string) => inPart(match[Number(n)] ?? ''));
  }
  return listed(sentence) ?? sentence;
}

// "broker 1 has no process, broker 2 does not answer"
function listed(sentence: string): string | undefined {
  const list = sentence.replace(/\.$/, '').split(', ');
  const korean = list.map((item) => (list.length > 1 ? inKorean(item) : item));
  return list.every((item, i) => item !== korean[i]) ? korean.join(', ') : undefined;
}

// What stands inside a sentence: brokers, a list of what ails them, or a sentence again.
function inPart(part: string): string {
  const brokers = /^brokers? \[?([\d, ]+)\]?$/i.exec(part);
  if (brokers) return `브로커 ${(brokers[1] ?? '').trim().split(/[, ]+/).join(', ')}`;
  return inKorean(part);
}
