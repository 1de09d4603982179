// The module under Node, from the packed package: its files are small; logits equal those of the
// native program, for f32 within 1e-4 and for integers bit for bit; a detector finds the native
// program's objects; memory does not grow; broken weights are refused.
//
// node node.mjs PACKAGE NATIVE NAME=FILE...     NATIVE: the program that has `predict` and `detect`;
// NAME: a file of the package's weights; FILE: the weights that it was made of

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { gzipSync } from 'node:zlib';

import { changedWeights, check, expect, finish } from './expect.mjs';

const [folder, native, ...pairs] = process.argv.slice(2);
const { Engine, wasmFile } = await import(resolve(folder, 'engine.js'));
const { readWeights } = await import(resolve(folder, 'weights.js'));
const { objects } = await import(resolve(folder, 'detect.js'));
const scratch = mkdtempSync(join(tmpdir(), 'mobilenet-web-'));

const stream = (bytes) => new Blob([bytes]).stream();
const compiled = (name) => WebAssembly.compile(readFileSync(join(folder, name)));

/** Reproducible numbers in [-1, 1). */
function values(count) {
  let state = 12345;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** NumPy's file of an array of f32. */
function npy(shape, numbers) {
  const about = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(', ')}), }`;
  const header = about.padEnd(118 - 1) + '\n';
  const prefix = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length, 0]);
  return Buffer.concat([prefix, Buffer.from(header), Buffer.from(numbers.buffer)]);
}

function npyValues(file) {
  const start = 10 + file.readUInt16LE(8);
  return new Float32Array(file.buffer.slice(file.byteOffset + start, file.byteOffset + file.length));
}

/** The native program's logits. */
function expected(weights, shape, input, isIntegers) {
  const [from, to] = ['in.npy', 'out.npy'].map((name) => join(scratch, name));
  writeFileSync(from, npy([1, ...shape], input));
  const precision = isIntegers ? ['--precision', 'int8'] : [];
  execFileSync(native, ['predict', '--weights', weights, '--input', from, '--output', to, ...precision]);
  return npyValues(readFileSync(to));
}

/** The native program's objects in a photo, `[rows, columns, 3]`. */
function expectedObjects(weights, [rows, columns], pixels) {
  const photo = join(scratch, 'photo.ppm');
  writeFileSync(photo, Buffer.concat([Buffer.from(`P6 ${columns} ${rows} 255\n`), pixels]));
  const text = execFileSync(native, ['detect', photo, '--weights', weights, '--threshold', '0', '--exact', '--json']);
  return JSON.parse(text).detections;
}

/** An engine with a network, of that file of the module which `modules` has for its number type. */
async function loaded(modules, bytes) {
  const { engine } = await opened(modules, bytes);
  return engine;
}

const opened = (modules, bytes) => readWeights((numberType) => Engine.create(modules[numberType]), stream(bytes));

/** What the file of weights says. */
function headerOf(file) {
  let found;
  changedWeights(file, ({ own }) => { found = own; });
  return found;
}

/** The input's shape, from the description of the network. */
const shapeOf = (file) => headerOf(file).network.slice(2, 5);

const kinds = { 'plain SIMD': ['mobilenet.wasm', 'mobilenet.integers.wasm'] };
if (process.version.startsWith('v20.')) setFlagsFromString('--experimental-wasm-relaxed-simd');
if (wasmFile() === 'mobilenet.relaxed.wasm') kinds['relaxed SIMD'] = [wasmFile(0), wasmFile(1)];
else console.log('SKIPPED relaxed SIMD: this Node lacks it');

/** Bytes of a file of the module, gzipped: a page loads one. */
const MOST_BYTES = 70_000;
for (const file of readdirSync(folder).filter((name) => name.endsWith('.wasm'))) {
  await check(`${file} is small`, () => {
    const { length } = gzipSync(readFileSync(join(folder, file)), { level: 9 });
    expect(length <= MOST_BYTES, `${length} bytes gzipped, at most ${MOST_BYTES}`);
    return `${length} bytes gzipped`;
  });
}

for (const [name, modulesOf] of Object.entries(kinds)) {
  const modules = await Promise.all(modulesOf.map(compiled));
  for (const [weights, original] of pairs.map((pair) => pair.split('='))) {
    const bytes = readFileSync(join(folder, 'weights', weights));
    const isIntegers = weights.includes('.integers.');
    if (headerOf(bytes).detector) {
      await check(`${name}: ${weights} finds the native program's objects`, async () => {
        const { engine, about } = await opened(modules, bytes);
        const [rows, columns] = shapeOf(bytes);
        // Of the network's size, so that nothing is resized.
        const rgb = Buffer.from(values(3 * rows * columns).map((value) => 127.5 * (value + 1)));
        const rgba = Uint8Array.from({ length: 4 * rows * columns }, (_, index) => (index % 4 < 3 ? rgb[3 * (index >> 2) + (index % 4)] : 255));
        engine.setPhoto(columns, rows, (y, count) => rgba.subarray(4 * y * columns, 4 * (y + count) * columns));
        const found = objects(engine.run(), about.detector, about.labels, [rows, columns], { threshold: 0 });
        const right = expectedObjects(original, [rows, columns], rgb);
        expect(found.length === right.length && right.length > 0, `${found.length} objects, expected ${right.length}`);
        const isSame = ({ index, score, box }, other) =>
          index === other.class && Math.abs(score - Math.fround(other.score)) <= (isIntegers ? 0 : 1e-5)
          && Math.max(...box.map((side, at) => Math.abs(side - other.box[at]))) <= 1e-3;
        found.forEach((own, place) => {
          // Of numbers, those that are nearly equal may change places, and the last ones be others.
          const isThere = isIntegers ? isSame(own, right[place])
            : own.score <= right.at(-1).score + 1e-5 || right.some((other) => isSame(own, other));
          expect(isThere, `object ${place} is ${JSON.stringify(own)}, expected ${JSON.stringify(right[place])}`);
        });
        return `${found.length} objects`;
      });
      continue;
    }
    await check(`${name}: ${weights} equals the native program`, async () => {
      const engine = await loaded(modules, bytes);
      const shape = shapeOf(bytes);
      const input = values(shape.reduce((a, b) => a * b));
      engine.setInput(input);
      const { logits, features } = engine.run();
      const right = expected(original, shape, input, isIntegers);
      expect(logits.length === right.length, `${logits.length} logits, expected ${right.length}`);
      expect(features.some((value) => value !== 0), 'all features are zero');
      const errors = Array.from(logits, (value, index) => Math.abs(value - right[index]));
      const largest = Math.max(...errors);
      expect(largest <= (isIntegers ? 0 : 1e-4), `off by ${largest}`);
      return `off by ${largest.toExponential(1)}`;
    });
  }
  const bytes = readFileSync(join(folder, 'weights', pairs[0].split('=')[0]));
  await check(`${name}: 1,000 runs leave the memory as it is`, async () => {
    const engine = await loaded(modules, bytes);
    engine.run();
    const before = engine.bytes;
    for (let i = 0; i < 1000; i++) engine.run();
    expect(engine.bytes === before, `${before} bytes became ${engine.bytes}`);
  });
  const broken = {
    'cut off': bytes.subarray(0, bytes.length - 5000),
    'cut off in the header': bytes.subarray(0, 100),
    text: Buffer.from('these are no weights, but a long enough text'),
    nothing: Buffer.alloc(0),
    'a NaN': changedWeights(bytes, ({ data }) => data.fill(0xff, 4096, 4100)),
    'a layer of 4 billion channels': changedWeights(bytes, ({ own }) => { own.network[10] = 2 ** 32 - 1; }),
    'a million channels': changedWeights(bytes, ({ own }) => { own.network[10] = 2 ** 20; }),
    'a stride of 0': changedWeights(bytes, ({ own }) => { own.network[13] = 0; }),
    'a short description': changedWeights(bytes, ({ own }) => { own.network.length -= 3; }),
    'no description': changedWeights(bytes, ({ own }) => { delete own.network; }),
    'another version': changedWeights(bytes, ({ own }) => { own.network[0] = 9; }),
    'huge images': changedWeights(bytes, ({ own }) => { own.network[2] = own.network[3] = 32768; }),
    'rules of a detector that has none': changedWeights(bytes, ({ own }) => { own.detector = { anchors: [1] }; }),
    'tensors out of order': changedWeights(bytes, ({ header }) => { header['000.bias'].data_offsets = [8, 16]; }),
  };
  for (const [what, file] of Object.entries(broken)) {
    await check(`${name}: weights with ${what} are refused`, async () => {
      const error = await loaded(modules, file).then(() => undefined, (reason) => reason);
      expect(error?.name === 'WeightsError' || error?.name === 'EngineError', `${error?.stack ?? 'accepted'}`);
      return error.message;
    });
  }
}
rmSync(scratch, { recursive: true });
finish();
