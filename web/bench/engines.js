// The engines of the comparison, each as a function that runs one image: all on one thread, all on
// the page's own, so that no message is measured.

import { Engine, wasmFile } from '/page/engine.js';
import { readWeights } from '/page/weights.js';

const bytesOf = async (url) => {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.arrayBuffer();
};

const script = (src) => new Promise((done, failed) => {
  document.head.append(Object.assign(document.createElement('script'), { src, onload: done, onerror: () => failed(new Error(src)) }));
});

/** Pixels in [-1, 1). */
const image = (side) => Float32Array.from({ length: side * side * 3 }, (_, i) => ((i * 7919) % 1000) / 500 - 1);

async function ours({ ours: weights, side }, fileFor = wasmFile) {
  const engineFor = async (numberType) =>
    Engine.create(await WebAssembly.compile(await bytesOf(`/page/${fileFor(numberType)}`)));
  const { engine } = await readWeights(engineFor, (await fetch(weights)).body);
  const input = image(side);
  return () => {
    engine.setInput(input);
    return engine.run().logits;
  };
}

let liteRt;
async function litert({ tflite, side }) {
  const { loadLiteRt, loadAndCompile, Tensor } = await import('/modules/@litertjs/core/dist/index.js');
  liteRt ??= loadLiteRt('/modules/@litertjs/core/wasm/', { threads: false });
  await liteRt;
  const model = await loadAndCompile(tflite, { accelerator: 'wasm' });
  const input = image(side);
  return async () => {
    const tensor = new Tensor(input, [1, side, side, 3]);
    const [output] = await model.run(tensor);
    const logits = output.toTypedArray();
    tensor.delete();
    output.delete();
    return logits;
  };
}

async function onnx({ onnx: file, side }) {
  const ort = await import('/modules/onnxruntime-web/dist/ort.wasm.min.mjs');
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = '/modules/onnxruntime-web/dist/';
  const session = await ort.InferenceSession.create(await bytesOf(file), { executionProviders: ['wasm'] });
  const input = image(side);
  const [name] = session.inputNames;
  const shape = file.includes('nhwc') ? [1, side, side, 3] : [1, 3, side, side];
  return async () => {
    const outputs = await session.run({ [name]: new ort.Tensor('float32', input, shape) });
    return outputs[session.outputNames[0]].data;
  };
}

/** TensorFlow.js has no file of this network here, so it gets random weights, and its fused operations. */
async function tensorflow({ width, side }) {
  if (!globalThis.tf) {
    await script('/modules/@tensorflow/tfjs-core/dist/tf-core.min.js');
    await script('/modules/@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.min.js');
  }
  const { tf } = globalThis;
  tf.wasm.setWasmPaths('/modules/@tensorflow/tfjs-backend-wasm/dist/');
  tf.wasm.setThreadsCount(1);
  await tf.setBackend('wasm');
  await tf.ready();
  const random = (shape) => tf.randomNormal(shape, 0, 0.1);
  const channels = (count) => Math.max(8, Math.round(count * width));
  const blocks = [[64, 1], [128, 2], [128, 1], [256, 2], [256, 1], [512, 2], ...Array(5).fill([512, 1]), [1024, 2], [1024, 1]];
  const layers = [];
  let depth = channels(32);
  layers.push(['conv2d', random([3, 3, 3, depth]), random([depth]), 2]);
  for (const [count, strides] of blocks) {
    layers.push(['depthwiseConv2d', random([3, 3, depth, 1]), random([depth]), strides]);
    layers.push(['conv2d', random([1, 1, depth, channels(count)]), random([channels(count)]), 1]);
    depth = channels(count);
  }
  const head = [random([depth, 1001]), random([1001])];
  const input = image(side);
  return () => tf.tidy(() => {
    let x = tf.tensor4d(input, [1, side, side, 3]);
    for (const [kind, filter, bias, strides] of layers) {
      x = tf.fused[kind]({ x, filter, bias, strides, pad: 'same', activation: 'relu6' });
    }
    const pooled = tf.mean(x, [1, 2]);
    return tf.fused.matMul({ a: pooled, b: head[0], bias: head[1] }).dataSync();
  });
}

export const engines = {
  'this project, relaxed SIMD': (network) => ours(network),
  'this project, plain SIMD': (network) => ours(network, () => 'mobilenet.wasm'),
  'LiteRT.js': litert,
  'TensorFlow.js': tensorflow,
  'ONNX Runtime Web': onnx,
  'this project, integers': (network) => ours({ ...network, ours: network.integers }),
  'LiteRT.js, integers': (network) => litert({ ...network, tflite: network.integersTflite }),
};

/** Milliseconds of the first run, and of each of `count` runs after a few. */
export async function measure(run, count) {
  const timed = async () => {
    const start = performance.now();
    await run();
    return performance.now() - start;
  };
  const first = await timed();
  for (let i = 0; i < 5; i++) await run();
  const runs = [];
  for (let i = 0; i < count; i++) runs.push(await timed());
  return { first, best: Math.min(...runs) };
}
