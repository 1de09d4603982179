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

const isOfIntegers = (engine) => engine.includes('integers');
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
run the network twice before it returns. Integers: LiteRT.js refuses input in integers (\`Element type
INT8 is not supported\`), so its file begins with the operator that makes them of numbers, and ends
with its inverse. Time / best peer compares networks of the same number type.
`;
for (const network of new Set(results.map((one) => one.network))) {
  const rows = rowsOf(network);
  const peerOf = (one) => {
    const peers = rows.filter(({ engine }) => !isOurs(engine) && isOfIntegers(engine) === isOfIntegers(one));
    return Math.min(...peers.map(({ best }) => best));
  };
  text += `
## ${network}

| engine | best ms | best of each round | time / best peer | first ms |
|---|--:|---|--:|--:|
`;
  for (const { engine, best, bests, first } of rows) {
    const rounds = bests.map((value) => value.toFixed(2)).join(', ');
    text += `| ${engine} | ${best.toFixed(2)} | ${rounds} | ${(best / peerOf(engine)).toFixed(2)} | ${first.toFixed(0)} |\n`;
  }
  text += `\n![Time of each engine at ${network}](${plot(network, rows)})\n`;
}
text += `
## Tried for f32

Old and new in turn in one Chromium, best of 80 runs at 1.0/224 and of 500 at 0.25/128; the last two
rows on a Xeon of model 167, the others on one of model 207:

| change | 1.0/224 ms | 0.25/128 ms | kept |
|---|--:|--:|---|
| loads in the source's order, and tiles of 6 pixels x 2 vectors instead of 4 x 2 | 31.3 -> 27.8 | 0.85 -> 0.80 | yes |
| the same with tiles of 5 x 2 | 32.5 -> 30.4 | 0.90 -> 0.87 | |
| loads in the source's order alone | 32.4 -> 32.7 | 0.90 -> 0.91 | |
| tiles of 6 x 2, optimised for size: the loop over pixels stays | 31.3 -> 50.1 | 0.85 -> 1.16 | |
| the depthwise kernel with 7 columns instead of 4 | 28.6 -> 28.2 | 0.82 -> 0.84 | |
| bands of 16 k values instead of 64 k | 33.0 -> 34.4 | | |
| bands of 128 k | 33.0 -> 33.0 | | |
| limits by the relaxed minimum and maximum instead of comparisons and selections | 24.6 -> 23.8 | 0.71 -> 0.68 | yes |
| a pointer for each pixel, and four values of k a turn | 23.9 -> 24.7 | | |

The profile of 1.0/224 before: Strassen's tiles 65 % of the time, plain tiles 22 %, depthwise 8 %, the
rest 5 %. A tile of 4 x 2 has eight independent sums, exactly what hides the latency of the
multiply-add, so each delay was lost for good; 12 sums can catch up. LLVM loaded the values of all
pixels before the first product, which left registers for eight sums only.

## Tried for integers

| change | 1.0/224 ms | 0.25/128 ms | gzipped | kept |
|---|--:|--:|--:|---|
| relaxed products of 4 bytes instead of products of 2 x 16 bits | 26.2 -> 14.2 | 1.19 -> 0.86 | 70 kB | yes |
| the same, optimised for size above all | 14.2 -> 14.2 | 0.86 -> 0.86 | 66 kB | yes |
| tiles of 6 x 2, optimised for speed | 26.0 -> 15.8 | 1.15 -> 0.79 | 81 kB | |
| tiles of 6 x 2 whose two vectors are one operand; channels of depthwise layers by eight, interleaved as words; rounding by adding 1.5 x 2^23 | 11.0 -> 8.8 | 0.70 -> 0.60 | 68 kB | yes |
| the input's numbers become integers in vectors, without a division each | 8.5 -> 8.1 | 0.60 -> 0.39 | 69 kB | yes |
| two and four steps a turn of the product's loop | 8.3 -> 8.2, 8.3 | 0.37 -> 0.37 | 64 kB | |
| words to bytes by a swizzle instead of a saturating narrowing | 8.2 -> 8.2 | 0.37 -> 0.37 | 64 kB | |
| columns of depthwise windows as products of 4 bytes, and the end of a tile compiled once | 8.4 -> 7.7 | 0.39 -> 0.36 | 66 kB | yes |
| the same with an end in each tile: one of its twelve sums is kept in memory | 8.1 -> 9.8 | 0.38 -> 0.37 | 66 kB | |
| optimised for size, or for speed, instead of for size above all | 8.4 -> 8.4, 8.1 | 0.39 -> 0.39 | 69, 79 kB | |

The rows from the fourth on are of a Xeon of model 167; with plain SIMD the fourth and fifth together
give 20.8 -> 18.8 and 1.04 -> 0.68 ms. From the sixth on, files have no names of functions. By the
profile of 1.0/224 before: products 61 % of the time, at the latency of eight sums; rounding 20 %;
depthwise layers 12 %, in which the browser made four constants for each shuffle of bytes; the input's
numbers 5 %, and a quarter of the time at 0.25/128.

The relaxed product is exact where the processor's takes unsigned bytes and does not saturate (VNNI of
x86-64, by way of Chromium); \`web/engine.js\` tries that out. Firefox saturates, so integers run with
plain SIMD there.
`;
writeFileSync(new URL('web.md', docs), text);
