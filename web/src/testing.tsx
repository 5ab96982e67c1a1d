import { MantineProvider } from '@mantine/core';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { createMemoryHistory, createRootRoute, createRouter, RouterProvider } from '@tanstack/react-router';
import { render } from '@testing-library/react';
import type { ReactNode } from 'react';
import { vi } from 'vitest';
import { LanguageProvider } from './lib/i18n';
import type { Language } from './lib/i18n/language';

/** Answers requests from a table: "GET /clusters" → what is sent back. Returns what was asked. */
export function answering(
  table: Record<string, { status?: number; body: unknown }>,
): { method: string; path: string; body: string; csrf: string | null }[] {
  const asked: { method: string; path: string; body: string; csrf: string | null }[] = [];
  vi.stubGlobal('fetch', async (input: Request) => {
    const path = new URL(input.url).pathname.replace('/api/v1', '');
    asked.push({
      method: input.method,
      path,
      body: await input.text(),
      csrf: input.headers.get('X-CSRF-Token'),
    });
    const found = table[`${input.method} ${path}`] ?? {
      status: 404,
      body: { title: 'Not Found', detail: path },
    };
    return new Response(JSON.stringify(found.body), {
      status: found.status ?? 200,
      headers: {
        'Content-Type': (found.status ?? 200) < 400 ? 'application/json' : 'application/problem+json',
      },
    });
  });
  return asked;
}

/** Shows a part of a page as the application would. */
export function show(part: ReactNode, language: Language = 'en') {
  const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  const router = createRouter({
    routeTree: createRootRoute({ component: () => part }),
    history: createMemoryHistory({ initialEntries: ['/'] }),
  });
  return render(
    <MantineProvider env="test">
      <QueryClientProvider client={client}>
        <LanguageProvider initial={language}>
          <RouterProvider router={router as never} />
        </LanguageProvider>
      </QueryClientProvider>
    </MantineProvider>,
  );
}
