import { defineConfig } from '@playwright/test';

export default defineConfig({
  testDir: 'e2e',
  workers: 1, // each test runs a whole cluster
  // Each takes about a minute on a machine with nothing else to do; one that is
  // busy may need many times as long.
  timeout: 900_000,
  globalTimeout: 1_500_000,
  expect: { timeout: 60_000 },
  reporter: 'list',
  outputDir: '../bin/web-test-results',
  use: {
    viewport: { width: 1440, height: 900 },
    screenshot: 'only-on-failure',
    launchOptions: {
      executablePath: process.env.CHROMIUM_PATH ?? '/usr/bin/chromium',
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
});
