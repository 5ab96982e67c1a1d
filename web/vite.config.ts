import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

// The service that `npm run dev` asks: WEIR_SERVER as the command line has it.
const service = process.env.WEIR_SERVER ?? 'http://127.0.0.1:7180';

export default defineConfig({
  plugins: [react()],
  resolve: { alias: { '@': new URL('./src', import.meta.url).pathname } },
  server: { host: '127.0.0.1', proxy: { '/api': service } },
  build: {
    outDir: '../internal/dashboard/site/dist',
    emptyOutDir: true,
    // The content security policy knows files only: nothing is inlined.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 900,
    // What changes seldom is kept apart, so that browsers keep it.
    rolldownOptions: { output: { codeSplitting: { groups: [{ name: 'packages', test: /node_modules/ }] } } },
  },
  test: { environment: 'happy-dom', include: ['src/**/*.test.{ts,tsx}'] },
});
