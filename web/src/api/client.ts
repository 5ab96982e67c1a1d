import createClient, { type Middleware } from 'openapi-fetch';
import type { components, paths } from './schema';
import type { Session } from './types';

/** What the service answered instead of what was asked for; status 0: nothing arrived. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    /** Refused values by the path of their field: brokers[2].rack. */
    readonly fields: Record<string, string> = {},
    readonly requestId?: string,
  ) {
    super(message);
  }
}

let csrf = '';

/** Writes carry what the session says, so that no other page can make them. */
export function rememberSession(session: Session | null): void {
  csrf = session?.csrf ?? '';
}

const guard: Middleware = {
  onRequest({ request }) {
    if (request.method !== 'GET' && csrf) request.headers.set('X-CSRF-Token', csrf);
    return request;
  },
};

/** The service, as its description has it. */
export const api = createClient<paths>({
  baseUrl: '/api/v1',
  credentials: 'same-origin',
  fetch: (request) => globalThis.fetch(request),
});
api.use(guard);

type Problem = components['schemas']['ErrorModel'];

/** The answer of a call, or an ApiError. */
export async function answer<T>(
  call: Promise<{ data?: T; error?: unknown; response: Response }>,
): Promise<T> {
  let result: Awaited<typeof call>;
  try {
    result = await call;
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === 'AbortError') throw cause;
    throw new ApiError(0, '');
  }
  if (!result.response.ok) throw refusal(result.response, result.error as Problem | undefined);
  return result.data as T;
}

function refusal(response: Response, problem: Problem | undefined): ApiError {
  const fields: Record<string, string> = {};
  for (const e of problem?.errors ?? []) {
    if (e.location) fields[e.location.replace(/^body\./, '')] = e.message ?? '';
  }
  const message = problem?.detail || problem?.title || `${response.status} ${response.statusText}`;
  return new ApiError(response.status, message, fields, response.headers.get('X-Request-Id') ?? undefined);
}
