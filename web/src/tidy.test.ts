import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const src = import.meta.dirname;
const floors = ['lib', 'api', 'ui', 'features', 'routes'];

function files(dir: string): string[] {
  return readdirSync(dir).flatMap((name) => {
    const path = join(dir, name);
    return statSync(path).isDirectory() ? files(path) : [path];
  });
}

const sources = files(src).filter((f) => /\.(ts|tsx|css)$/.test(f) && !f.endsWith('schema.d.ts'));

describe('the source', () => {
  it('has files of less than 300 lines', () => {
    const long = sources.filter((f) => readFileSync(f, 'utf8').split('\n').length > 300);
    expect(long.map((f) => relative(src, f))).toEqual([]);
  });

  it('imports only downwards: routes, features, ui, api, lib', () => {
    const wrong: string[] = [];
    for (const file of sources) {
      const from = floors.indexOf(relative(src, file).split('/')[0] ?? '');
      if (from < 0) continue;
      for (const [, path = ''] of readFileSync(file, 'utf8').matchAll(/from '((?:@|\.)[^']*)'/g)) {
        if (!path.startsWith('.') && !path.startsWith('@/')) continue;
        const target = path.startsWith('@/') ? path.slice(2) : relative(src, resolve(dirname(file), path));
        if (floors.indexOf(target.split('/')[0] ?? '') > from)
          wrong.push(`${relative(src, file)} imports ${path}`);
      }
    }
    expect(wrong).toEqual([]);
  });
});

describe('the packages', () => {
  // Inter is a font: its licence is made for that.
  const free =
    /^(\(?(MIT|ISC|Apache-2\.0|0BSD|BSD-2-Clause|BSD-3-Clause|BlueOak-1\.0\.0|CC0-1\.0|Unlicense)\)?( (OR|AND) )?)+\)?$/;
  const known: Record<string, string> = {
    '@fontsource-variable/inter': 'OFL-1.1',
    'axe-core': 'MPL-2.0', // only run by tests
    '@axe-core/playwright': 'MPL-2.0', // only run by tests
    lightningcss: 'MPL-2.0', // only run by the build
    argparse: 'Python-2.0', // only run by the generator of api/schema.d.ts
  };
  it('have licences that allow this use', () => {
    const lock = JSON.parse(readFileSync(join(src, '../package-lock.json'), 'utf8')) as {
      packages: Record<string, { license?: string; resolved?: string }>;
    };
    const wrong = Object.entries(lock.packages)
      .filter(([path]) => path !== '')
      .map(([path, p]) => [path.slice(path.lastIndexOf('node_modules/') + 13), p.license ?? 'none'] as const)
      .filter(
        ([name, license]) =>
          !free.test(license) &&
          known[name] !== license &&
          !(name.startsWith('lightningcss-') && license === 'MPL-2.0'),
      );
    expect(wrong).toEqual([]);
    expect(Object.values(lock.packages).filter((p) => p.resolved)).toEqual([]);
  });
});
