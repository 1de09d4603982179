// Compares engines in one browser, in turn: `node bench.mjs PAGE NETWORKS.json > results.json`.
//
// PAGE: the folder that `cargo xtask web` wrote. NETWORKS: for each name `side` and `width`, and
// files: `ours`, `tflite`, `onnx`, and if there are any `integers` and `integersTflite`, whose input
// and output are numbers. Needs in
// NODE_MODULES playwright-core, @litertjs/core, @tensorflow/tfjs-core, @tensorflow/tfjs-backend-wasm
// and onnxruntime-web.

import { createReadStream, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, extname, join, normalize, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROUNDS = 3;
const RUNS = 40;

const [page, networksFile] = process.argv.slice(2);
const modules = resolve(process.env.NODE_MODULES);
const { chromium } = createRequire(join(modules, 'x'))('playwright-core');
const TYPES = { '.js': 'text/javascript', '.mjs': 'text/javascript', '.html': 'text/html', '.wasm': 'application/wasm', '.json': 'application/json' };
const folders = {
  page: resolve(page),
  modules,
  bench: dirname(fileURLToPath(import.meta.url)),
  files: dirname(resolve(networksFile)),
};

const server = createServer((request, response) => {
  const path = decodeURIComponent(new URL(request.url, 'http://x').pathname);
  // Isolated, so that the clock is not made coarse.
  response.setHeader('cross-origin-opener-policy', 'same-origin');
  response.setHeader('cross-origin-embedder-policy', 'require-corp');
  if (path === '/') {
    const imports = { '@litertjs/wasm-utils': '/modules/@litertjs/wasm-utils/dist/index.js' };
    const map = `<script type="importmap">${JSON.stringify({ imports })}</script>`;
    return response.setHeader('content-type', 'text/html').end(`<!doctype html><title>bench</title>${map}`);
  }
  const [, name, ...rest] = path.split('/');
  const folder = folders[name];
  const file = folder && join(folder, normalize(rest.join('/')));
  if (!file?.startsWith(folder) || !statSync(file, { throwIfNoEntry: false })?.isFile()) {
    return response.writeHead(404).end();
  }
  response.setHeader('content-type', TYPES[extname(file)] ?? 'application/octet-stream');
  createReadStream(file).pipe(response);
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
const tab = await browser.newPage();
tab.on('pageerror', (error) => console.error(error.message));
await tab.goto(`http://127.0.0.1:${server.address().port}/`);
const networks = JSON.parse(readFileSync(networksFile));
const results = [];
for (const [name, network] of Object.entries(networks)) {
  const made = await tab.evaluate(async (network) => {
    const { engines } = await import('/bench/engines.js');
    globalThis.runs = {};
    const problems = {};
    for (const [engine, make] of Object.entries(engines)) {
      if (engine.includes('integers') && !network.integers) continue;
      try {
        globalThis.runs[engine] = await make(network);
      } catch (error) {
        problems[engine] = error.message;
      }
    }
    return { engines: Object.keys(globalThis.runs), problems };
  }, network);
  for (const [engine, problem] of Object.entries(made.problems)) console.error(`${name}, ${engine}: ${problem}`);
  for (let round = 0; round < ROUNDS; round++) {
    for (const engine of made.engines) {
      const measured = await tab.evaluate(async ([engine, count]) => {
        const { measure } = await import('/bench/engines.js');
        return measure(globalThis.runs[engine], count);
      }, [engine, RUNS]).catch((error) => console.error(`${name}, ${engine}: ${error.message}`));
      if (measured) results.push({ network: name, engine, round, ...measured });
    }
  }
}
console.log(JSON.stringify({ browser: `Chromium ${browser.version()}`, results }, null, 1));
await browser.close();
server.close();
