// Writes docs/benchmarks/web.md and its plots: `node write.mjs RESULTS.json NOTE`. NOTE says on which
// machine, and what else it did.

import { readFileSync, writeFileSync } from 'node:fs';

const [file, note] = process.argv.slice(2);
const { browser, results } = JSON.parse(readFileSync(file));
const docs = new URL('../../docs/benchmarks/', import.meta.url);

/** For each engine the best of all rounds, the rounds' bests, and the first run of all. */
function rowsOf(network) {
  const engines = [...new Set(results.filter((one) => one.network === network).map(({ engine }) => engine))];
  const rows = engines.map((engine) => {
    const rounds = results.filter((one) => one.network === network && one.engine === engine);
    const bests = rounds.map(({ best }) => best);
    return { engine, best: Math.min(...bests), bests, first: rounds[0].first };
  });
  return rows.sort((a, b) => a.best - b.best);
}

const isOurs = (engine) => engine.startsWith('this project');

function plot(network, rows) {
  const [left, width, line] = [190, 380, 30];
  const largest = Math.max(...rows.map(({ best }) => best));
  const bars = rows.map(({ engine, best }, index) => {
    const y = 10 + index * line;
    const length = (best / largest) * width;
    return `<text x="${left - 8}" y="${y + 15}" text-anchor="end">${engine}</text>
<rect x="${left}" y="${y}" width="${length.toFixed(1)}" height="20" rx="3" fill="${isOurs(engine) ? '#1f5fbf' : '#9aa7bb'}"/>
<text x="${(left + length + 6).toFixed(1)}" y="${y + 15}">${best.toFixed(2)} ms</text>`;
  });
  const height = 20 + rows.length * line;
  const name = `web_${network.replace('/', '_')}.svg`;
  writeFileSync(new URL(name, docs), `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 660 ${height}" font-family="sans-serif" font-size="13" role="img" aria-label="Time of each engine at ${network}">
<rect width="660" height="${height}" fill="#fff"/>
${bars.join('\n')}
</svg>
`);
  return name;
}

let text = `# In the browser

Written by \`node web/bench/write.mjs\` from \`web.json\`, which \`web/bench/bench.mjs\` measured.

${browser}, WebAssembly on one thread. ${note}

All engines are in one page and take turns: three rounds, in each the best of 40 runs. Time is from
the input in JavaScript's memory to the logits there. The files of this project, LiteRT.js and ONNX
Runtime Web are made from the same weights; TensorFlow.js has random weights and its fused
operations. First: the engine's first run of all, which compiles its code; \`load\` of our package has
run the network twice before it returns. Integers: LiteRT.js refuses their input (\`Element type INT8
is not supported\`), so there is no peer.
`;
for (const network of new Set(results.map((one) => one.network))) {
  const rows = rowsOf(network);
  const peer = Math.min(...rows.filter(({ engine }) => !isOurs(engine)).map(({ best }) => best));
  text += `
## ${network}

| engine | best ms | best of each round | time / best peer | first ms |
|---|--:|---|--:|--:|
`;
  for (const { engine, best, bests, first } of rows) {
    const rounds = bests.map((value) => value.toFixed(2)).join(', ');
    text += `| ${engine} | ${best.toFixed(2)} | ${rounds} | ${(best / peer).toFixed(2)} | ${first.toFixed(0)} |\n`;
  }
  text += `\n![Time of each engine at ${network}](${plot(network, rows)})\n`;
}
text += `
## Tried for f32 at 1.0/224, without gain

Old and new in turn in one Chromium, best of 60 runs: the depthwise kernel with 7 columns instead of
4: 32.6 and 32.7 ms. Strassen's scheme up to 1024 x 1024 channels instead of 512 x 512: 33.4 and 33.0
ms. The module optimised for size instead of speed: 32.6 and 32.3 ms (kept: a tenth smaller, and the
first run takes 52 instead of 75 ms).
`;
writeFileSync(new URL('web.md', docs), text);
