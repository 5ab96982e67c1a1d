// The keys of what was read; an event makes all under a prefix be read again.
export const keys = {
  session: ['session'],
  status: ['status'],
  clusters: ['clusters'],
  operations: ['operations'],
  journal: ['journal'],
  users: ['users'],
  people: ['people'],
  tokens: ['tokens'],
} as const;
