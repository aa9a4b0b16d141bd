// The build: one page, its scripts and styles under assets/ with their hash in the name, and beside
// each a compressed copy, which the service sends to who takes it (service/http/web.py).

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, type Plugin } from 'vite';

const SERVICE = 'http://127.0.0.1:8180';

/** Write name.br and name.gz beside everything that is text. */
function compressed(): Plugin {
  let folder = '';
  return {
    name: 'compressed',
    apply: 'build',
    configResolved(config) {
      folder = join(config.root, config.build.outDir);
    },
    closeBundle() {
      for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
        if (!/\.(html|js|css|svg)$/.test(name)) continue;
        const path = join(folder, name);
        const data = readFileSync(path);
        const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } };
        writeFileSync(`${path}.br`, brotliCompressSync(data, quality));
        writeFileSync(`${path}.gz`, gzipSync(data, { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  plugins: [svelte(), compressed()],
  base: './',
  build: {
    outDir: 'dist',
    target: 'es2023',
    assetsInlineLimit: 0, // no data: addresses, so that the policy needs none
    modulePreload: { polyfill: false }, // it would be an inline script
  },
  server: {
    // `npm run dev` beside a running service.
    proxy: { '/v1': { target: SERVICE, ws: true }, '/api': SERVICE, '/healthz': SERVICE },
  },
});
