// Runs before the first paint, so that a dark page never flashes white.
(() => {
  let scheme = 'auto';
  try {
    scheme = localStorage.getItem('weir.scheme') || 'auto';
  } catch {
    // No storage: as the system has it.
  }
  if (scheme === 'auto') scheme = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  document.documentElement.setAttribute('data-mantine-color-scheme', scheme);
})();
