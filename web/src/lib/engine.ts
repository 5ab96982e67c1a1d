import type { Messages } from './i18n';

/** An engine and its version for people: builds without a version have 0.0.0 and what they are called. */
export function engineLabel(t: Messages, c: { engine: string; engineVersion: string }): string {
  const build = /^0\.0\.0-(?:\d{14}-)?(.+)$/.exec(c.engineVersion)?.[1];
  const version = !build ? c.engineVersion : build === 'dev' ? t.create.devBuild : t.create.build(build);
  return `${t.create.engines[c.engine] ?? c.engine} ${version}`;
}
