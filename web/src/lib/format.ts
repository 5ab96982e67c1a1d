import type { Language } from './i18n/language';

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** 1536 → "1.5 KiB": the units of the command line. */
export function bytes(n: number): string {
  if (!Number.isFinite(n)) return '–';
  let value = Math.abs(n);
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${n < 0 ? '-' : ''}${trim(value.toFixed(digits))} ${units[unit]}`;
}

function trim(s: string): string {
  return s.endsWith('.0') ? s.slice(0, -2) : s;
}

/** 12345.6 → "12,346" or "12.3k" when short. */
export function count(n: number, language: Language): string {
  if (!Number.isFinite(n)) return '–';
  if (Math.abs(n) >= 100_000) {
    return new Intl.NumberFormat(language, { notation: 'compact', maximumFractionDigits: 1 }).format(n);
  }
  return new Intl.NumberFormat(language, {
    maximumFractionDigits: Math.abs(n) < 10 ? 2 : Math.abs(n) < 100 ? 1 : 0,
  }).format(n);
}

/** Seconds as people say them: two units at most. */
export function duration(seconds: number, language: Language): string {
  const s = Math.max(0, Math.round(seconds));
  const ko = language === 'ko';
  const part = (n: number, en: string, kr: string) => (ko ? `${n}${kr}` : `${n} ${en}`);
  if (s < 60) return part(s, 's', '초');
  if (s < 3600) {
    const rest = s % 60;
    return part(Math.floor(s / 60), 'min', '분') + (rest && s < 600 ? ` ${part(rest, 's', '초')}` : '');
  }
  if (s < 86_400) {
    const rest = Math.floor((s % 3600) / 60);
    return part(Math.floor(s / 3600), 'h', '시간') + (rest ? ` ${part(rest, 'min', '분')}` : '');
  }
  const rest = Math.floor((s % 86_400) / 3600);
  return part(Math.floor(s / 86_400), 'd', '일') + (rest ? ` ${part(rest, 'h', '시간')}` : '');
}

/** "3 minutes ago", "3분 전". */
export function ago(at: string | Date, now: Date, language: Language): string {
  const seconds = (new Date(at).getTime() - now.getTime()) / 1000;
  const format = new Intl.RelativeTimeFormat(language, { numeric: 'auto', style: 'short' });
  const size = Math.abs(seconds);
  if (size < 5) return language === 'ko' ? '방금' : 'just now';
  if (size < 60) return format.format(Math.round(seconds), 'second');
  if (size < 3600) return format.format(Math.round(seconds / 60), 'minute');
  if (size < 86_400) return format.format(Math.round(seconds / 3600), 'hour');
  return format.format(Math.round(seconds / 86_400), 'day');
}

export function clock(at: string | Date, language: Language): string {
  return new Intl.DateTimeFormat(language, {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hour12: false,
  }).format(new Date(at));
}

export function dateTime(at: string | Date, language: Language): string {
  return new Intl.DateTimeFormat(language, {
    dateStyle: 'medium',
    timeStyle: 'medium',
    hour12: false,
  }).format(new Date(at));
}

/** A value of a graph in its unit, short. */
export function inUnit(value: number | null | undefined, unit: string, language: Language): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  switch (unit) {
    case 'bytes':
      return bytes(value);
    case 'bytes/s':
      return `${bytes(value)}/s`;
    case 'ratio':
      return `${count(Math.round(value * 1000) / 10, language)}%`;
    case 'percent':
    case '%':
      return `${count(Math.round(value * 10) / 10, language)}%`;
    case 'ms':
      return value >= 1000
        ? `${count(value / 1000, language)} s`
        : `${count(Math.round(value * 10) / 10, language)} ms`;
    case 'seconds':
    case 's':
      return duration(value, language);
    case 'cores':
      return language === 'ko' ? `${count(value, language)}코어` : `${count(value, language)} cores`;
    case 'records/s':
    case 'changes/s':
      return `${count(value, language)}${language === 'ko' ? '/초' : '/s'}`;
    default:
      return unit === '' || unit === 'count' || unit === '1'
        ? count(value, language)
        : `${count(value, language)} ${unit}`;
  }
}

const sizes: Record<string, number> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/** "1.5 GiB", "512m" → bytes; undefined when it is no size. */
export function parseBytes(text: string): number | undefined {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?\s*$/i.exec(text);
  const factor = match ? sizes[(match[2] ?? '').toLowerCase()] : undefined;
  return match && factor ? Math.round(Number(match[1]) * factor) : undefined;
}
