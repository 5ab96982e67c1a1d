import '@mantine/core/styles.css';
import '@mantine/notifications/styles.css';
import '@fontsource-variable/inter/wght.css';
import './ui/theme.css';
import { localStorageColorSchemeManager, MantineProvider } from '@mantine/core';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { setNonce } from 'get-nonce';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import type { ApiError } from './api/client';
import { LanguageProvider } from './lib/i18n';
import { theme } from './lib/theme';
import { router } from './routes/router';
import { Notices } from './ui/Notices';

// The policy of the pages lets style elements in only with this word.
const nonce = document.querySelector('meta[name=csp-nonce]')?.getAttribute('content') ?? '';
setNonce(nonce);

const client = new QueryClient({
  defaultOptions: {
    queries: {
      // A refusal stays one; only what did not arrive is asked again.
      retry: (failures, error) => ((error as ApiError).status ?? 0) < 1 && failures < 2,
      refetchOnWindowFocus: true,
      staleTime: 1000,
    },
  },
});

const schemes = localStorageColorSchemeManager({ key: 'weir.scheme' });

createRoot(document.getElementById('root') as HTMLElement).render(
  <StrictMode>
    <MantineProvider
      theme={theme}
      colorSchemeManager={schemes}
      defaultColorScheme="auto"
      getStyleNonce={() => nonce}
    >
      <QueryClientProvider client={client}>
        <LanguageProvider>
          <Notices />
          <RouterProvider router={router} />
        </LanguageProvider>
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
