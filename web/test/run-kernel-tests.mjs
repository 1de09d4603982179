// Runs the tests of a Rust program that was compiled for wasm32-unknown-unknown: cargo's runner.
// A failing test traps, after its panic was written by `say`.

import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';

// Node 20 has relaxed SIMD behind this flag, later ones have it without.
if (process.version.startsWith('v20.')) setFlagsFromString('--experimental-wasm-relaxed-simd');
const [file] = process.argv.slice(2);
let memory;
const say = (address, length) => {
  const text = new TextDecoder().decode(new Uint8Array(memory.buffer, address, length));
  console.log(`  ${text}`);
};
const { instance } = await WebAssembly.instantiate(readFileSync(file), { host: { say } });
memory = instance.exports.memory;
console.log(file.replace(/.*\//, ''));
try {
  process.exitCode = instance.exports.main(0, 0);
} catch (error) {
  console.error(`FAILED: ${error.message}`);
  process.exitCode = 1;
}
