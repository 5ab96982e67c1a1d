import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from 'react';
import { messages as en, type Messages } from './en';
import { messages as ko } from './ko';
import { keep, type Language, preferred } from './language';
import { inKorean } from './sentences';

const catalogues: Record<Language, Messages> = { en, ko };

interface Speech {
  language: Language;
  t: Messages;
  /** A sentence of the service in the language of the page. */
  say: (sentence: string | null | undefined) => string;
  setLanguage: (language: Language) => void;
}

const Context = createContext<Speech | null>(null);

export function LanguageProvider({ children, initial }: { children: ReactNode; initial?: Language }) {
  const [language, set] = useState<Language>(initial ?? preferred);
  useEffect(() => {
    document.documentElement.lang = language;
  }, [language]);
  const setLanguage = useCallback((next: Language) => {
    keep(next);
    set(next);
  }, []);
  const value = useMemo<Speech>(
    () => ({
      language,
      t: catalogues[language],
      say: (sentence) => (language === 'ko' ? inKorean(sentence ?? '') : (sentence ?? '')),
      setLanguage,
    }),
    [language, setLanguage],
  );
  return <Context.Provider value={value}>{children}</Context.Provider>;
}

export function useSpeech(): Speech {
  const speech = useContext(Context);
  if (!speech) throw new Error('outside of LanguageProvider');
  return speech;
}
export type { Language, Messages };
