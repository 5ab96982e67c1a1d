export const languages = ['en', 'ko'] as const;
export type Language = (typeof languages)[number];

const key = 'weir.language';

/** What was chosen before, else what the browser asks for. */
export function preferred(): Language {
  try {
    const kept = localStorage.getItem(key);
    if (kept === 'en' || kept === 'ko') return kept;
  } catch {
    // No storage: as the browser has it.
  }
  return navigator.language.toLowerCase().startsWith('ko') ? 'ko' : 'en';
}

export function keep(language: Language): void {
  try {
    localStorage.setItem(key, language);
  } catch {
    // No storage: it lasts as long as the page.
  }
}
