// The page in Chromium: photos, drawing, camera, broken files, no connection; screenshots.
//
// node browser.mjs PAGE PHOTO NATIVE WEIGHTS SCREENSHOTS SINGLE [DETECTOR]
//   PAGE: the folder that `cargo xtask web` wrote; PHOTO: a JPEG; NATIVE: the program that has
//   `classify` and `detect`; WEIGHTS: those of the model that the page offers first; SCREENSHOTS: a
//   folder; SINGLE: the page in one file, of the same weights; DETECTOR: weights of a detector that
//   the page offers, too, and that finds something in the photo.
// Needs playwright-core (in NODE_MODULES) and Chromium (CHROMIUM, or /usr/bin/chromium).

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { changedWeights, check, expect, finish, png, turned } from './expect.mjs';
import { serve } from './server.mjs';

const [folder, photoFile, native, nativeWeights, screenshots, singleFile, detectorWeights] = process.argv.slice(2);
const scratch = mkdtempSync(join(tmpdir(), 'mobilenet-web-'));
const { chromium } = createRequire(join(process.env.NODE_MODULES ?? '.', 'x'))('playwright-core');
mkdirSync(screenshots, { recursive: true });

const { models } = JSON.parse(readFileSync(join(folder, 'models.json')));
const [first] = models;
const weights = readFileSync(join(folder, first.file));
const server = await serve(folder, { extra: {
  '/broken/cut.safetensors': weights.subarray(0, weights.length - 5000),
  '/broken/text.safetensors': Buffer.from('these are no weights, but a long enough text'),
  '/broken/nan.safetensors': changedWeights(weights, ({ data }) => data.fill(0xff, 4096, 4100)),
} });
const home = `http://127.0.0.1:${server.address().port}/`;
const photo = readFileSync(photoFile);

/** What the native program says of a photo. */
function nativeAnswer(name, bytes) {
  const file = join(scratch, name);
  writeFileSync(file, bytes);
  const text = execFileSync(native, ['classify', file, '--weights', nativeWeights, '--json', '--quiet']);
  return JSON.parse(text);
}
const upright = nativeAnswer('photo.jpg', photo);

const launch = (extra = []) => chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', ...extra],
});
const browser = await launch();
const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
const page = await context.newPage();
const complaints = [];
const foreign = [];
page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
page.on('pageerror', (error) => complaints.push(error.message));
context.on('request', (request) => {
  const url = request.url();
  if (!url.startsWith(home) && !/^(blob|data):/.test(url)) foreign.push(url);
});
await page.addInitScript(() => {
  globalThis.longTasks = [];
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) globalThis.longTasks.push(duration);
  }).observe({ type: 'longtask', buffered: true });
});

const ready = (where = page) => where.waitForSelector('body[data-ready]', { timeout: 60_000 });
const message = () => page.textContent('#message');
const answers = () => page.$$eval('#answers li', (items) => items.map((item) => {
  const [, name, share] = item.querySelectorAll('span');
  return { name: name.textContent, share: Number.parseFloat(share.textContent) / 100 };
}));

/** Waits for the first answer that satisfies a condition. */
async function answered() {
  await page.waitForFunction(() => document.querySelectorAll('#answers li').length > 0, undefined, { timeout: 30_000 });
  return answers();
}

/** JPEG decoders differ by a few steps of 8 bits, which move a probability by up to this. */
const JPEG = 0.03;

function agrees(found, native, tolerance = JPEG) {
  const [{ label, probability }] = native.predictions;
  expect(found[0].name === label, `${found[0].name}, expected ${label}`);
  const error = Math.abs(found[0].share - probability);
  expect(error <= tolerance, `${found[0].share}, expected ${probability}`);
  return `${label}, ${(100 * found[0].share).toFixed(1)} %, natively ${(100 * probability).toFixed(1)} %`;
}

const choose = (name, buffer, mimeType = 'image/jpeg') => page.setInputFiles('#file', { name, mimeType, buffer });

await check('the page is ready', async () => {
  const start = performance.now();
  await page.goto(home);
  await ready();
  return `${Math.round(performance.now() - start)} ms`;
});

await check('a chosen photo has the native answer', async () => {
  await choose('photo.jpg', photo);
  return agrees(await answered(), upright);
});

await page.screenshot({ path: join(screenshots, 'wide.png') });

await check('a photo that is turned by EXIF has the native answer', async () => {
  const bytes = turned(photo, 6);
  await choose('turned.jpg', bytes);
  return agrees(await answered(), nativeAnswer('turned.jpg', bytes));
});

await check('a photo without loss has the native answer', async () => {
  await page.waitForFunction(() => document.getElementById('image').naturalWidth > 0);
  const url = await page.evaluate(async () => {
    const canvas = document.createElement('canvas');
    const image = document.getElementById('image');
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    canvas.getContext('2d').drawImage(image, 0, 0);
    return canvas.toDataURL('image/png');
  });
  const bytes = Buffer.from(url.split(',')[1], 'base64');
  await choose('photo.png', bytes, 'image/png');
  // Weights of 8 bits are rounded ones.
  const tolerance = first.precision === 'int8' ? 0.05 : 0.003;
  return agrees(await answered(), nativeAnswer('photo.png', bytes), tolerance);
});

await check('a dropped photo has the native answer', async () => {
  await page.evaluate(() => document.getElementById('answers').replaceChildren());
  const transfer = await page.evaluateHandle((bytes) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], 'dropped.jpg', { type: 'image/jpeg' }));
    return transfer;
  }, photo.toString('base64'));
  await page.dispatchEvent('#stage', 'drop', { dataTransfer: transfer });
  return agrees(await answered(), upright);
});

await check('a pasted photo has the native answer', async () => {
  await page.evaluate((bytes) => {
    document.getElementById('answers').replaceChildren();
    const transfer = new DataTransfer();
    transfer.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], 'pasted.jpg', { type: 'image/jpeg' }));
    dispatchEvent(new ClipboardEvent('paste', { clipboardData: transfer }));
  }, photo.toString('base64'));
  return agrees(await answered(), upright);
});

const hopeless = {
  'notes.jpg': Buffer.from('this is a text'),
  'cut.png': png(400, 300).subarray(0, 60),
  'empty.jpg': Buffer.alloc(0),
  'huge.png': png(12_000, 12_000),
};
for (const [name, bytes] of Object.entries(hopeless)) {
  await check(`${name} gives a message, and the page lives`, async () => {
    await choose(name, bytes);
    await page.waitForFunction(() => document.querySelector('#message.bad')?.textContent, undefined, { timeout: 30_000 });
    const said = await message();
    await choose('photo.jpg', photo);
    agrees(await answered(), upright);
    return said;
  });
}

await check('one pixel has an answer', async () => {
  await choose('pixel.png', png(1, 1), 'image/png');
  const found = await answered();
  expect(found.length > 0, 'no answer');
});

for (const kind of ['cut', 'text', 'nan']) {
  await check(`broken weights (${kind}) are refused with a message`, async () => {
    const said = await page.evaluate(async (url) => {
      const { load } = await import('./index.js');
      return load({ modelUrl: url }).then(() => undefined, (error) => error.message);
    }, `/broken/${kind}.safetensors`);
    expect(said, 'accepted');
    return said;
  });
}

await check('weights that are not there are refused with a message', async () => {
  const before = complaints.length;
  const said = await page.evaluate(async () => {
    const { load } = await import('./index.js');
    return load({ version: 1, alpha: 0.5 }).then(() => undefined, (error) => error.message);
  });
  // The browser itself reports the missing file.
  complaints.length = before;
  expect(/404/.test(said), `${said}`);
  return said;
});

await check('loading can be stopped', async () => {
  const name = await page.evaluate(async (url) => {
    const { load } = await import('./index.js');
    const stop = new AbortController();
    const loading = load({ modelUrl: url, signal: stop.signal, onProgress: () => stop.abort() });
    return loading.then(() => 'loaded', (error) => error.name);
  }, first.file);
  expect(name === 'AbortError', name);
});

await check('the interface: classify, infer, embeddings, threshold, progress', async () => {
  const found = await page.evaluate(async (url) => {
    const { load } = await import('./index.js');
    let progress = 0;
    const model = await load({ modelUrl: url, onProgress: ({ loaded, total }) => { progress = loaded / total; } });
    const image = new ImageData(40, 30);
    image.data.fill(200);
    const [three, one, few, logits, features] = [
      await model.classify(image),
      await model.classify(image, 1),
      await model.classify(image, { topk: 9, threshold: 0.3 }),
      await model.infer(image),
      await model.infer(image, true),
    ];
    model.dispose();
    return { progress, three, one, few, logits: logits.length, features: features.length, labels: model.labels.length };
  }, first.file);
  expect(found.progress === 1, `progress ${found.progress}`);
  expect(found.three.length === 3 && found.one.length === 1, 'topk');
  expect(found.few.every(({ probability }) => probability >= 0.3), 'threshold');
  expect(found.logits === found.labels && found.features > found.labels, 'outputs');
});

await check('another model and precision', async () => {
  const other = models.find(({ name, precision }) => name !== first.name || precision !== first.precision);
  await page.selectOption('#model', other.name);
  await page.selectOption('#precision', other.precision);
  await page.waitForSelector(`body[data-ready="${other.name}.${other.precision}"]`, { timeout: 60_000 });
  return `${other.name}.${other.precision}`;
});

await check('a drawing of trousers is recognised', async () => {
  const clothes = models.find(({ drawing }) => drawing);
  await page.selectOption('#model', clothes.name);
  await page.waitForFunction((name) => document.body.dataset.ready.startsWith(name), clothes.name);
  await page.click('#draw');
  const box = await page.locator('#view').boundingBox();
  const at = (x, y) => [box.x + (x / 28) * box.width, box.y + (y / 28) * box.height];
  const legs = [9, 10.5, 12, 16, 17.5, 19].map((x) => [x, 3, x, 26]);
  const top = [3, 5, 7].map((y) => [9, y, 19, y]);
  for (const [x, y, toX, toY] of [...legs, ...top]) {
    await page.mouse.move(...at(x, y));
    await page.mouse.down();
    await page.mouse.move(...at(toX, toY), { steps: 8 });
    await page.mouse.up();
  }
  await page.waitForFunction(() => document.querySelector('#answers li')?.textContent.startsWith('Trouser'), undefined, { timeout: 10_000 });
  await page.screenshot({ path: join(screenshots, 'drawing.png') });
  return (await answers())[0].name;
});

await check('all controls have names and are reached by the keyboard', async () => {
  const nameless = await page.$$eval('button, select, input', (all) => all
    .filter((one) => !one.hidden && !(one.textContent.trim() || one.labels?.length || one.ariaLabel))
    .map(({ id }) => id));
  expect(nameless.length === 0, `without a name: ${nameless}`);
  await page.focus('body');
  await page.evaluate(() => document.activeElement?.blur());
  const reached = new Set();
  for (let i = 0; i < 8; i++) {
    await page.keyboard.press('Tab');
    reached.add(await page.evaluate(() => document.activeElement.id));
  }
  for (const id of ['file', 'camera', 'draw', 'model', 'precision']) expect(reached.has(id), `${id} is not reached`);
});

await check('10,000 frames leave the memory as it is', async () => {
  const clothes = models.find(({ drawing }) => drawing);
  const { before, after } = await page.evaluate(async (url) => {
    const { load } = await import('./index.js');
    const model = await load({ modelUrl: url });
    const frame = new ImageData(64, 48);
    const run = async (times) => {
      let memory;
      for (let i = 0; i < times; i++) ({ memory } = await model.run(frame));
      return memory;
    };
    const before = await run(20);
    const after = await run(10_000);
    model.dispose();
    return { before, after };
  }, clothes.file);
  expect(before === after, `${before} bytes became ${after}`);
  return `${(after / 1e6).toFixed(1)} MB`;
});

// Where other programs have the processors, any task may take long. A page that computes itself would
// be busy each time.
await check('the page is not busy for 100 ms', async () => {
  const longest = [await page.evaluate(() => Math.max(0, ...globalThis.longTasks))];
  while (longest.at(-1) >= 100 && longest.length < 3) {
    await page.evaluate(() => { globalThis.longTasks = []; });
    await choose('huge.png', hopeless['huge.png']);
    await page.waitForFunction(() => document.querySelector('#message.bad')?.textContent, undefined, { timeout: 30_000 });
    await choose('photo.jpg', photo);
    agrees(await answered(), upright);
    longest.push(await page.evaluate(() => Math.max(0, ...globalThis.longTasks)));
  }
  expect(longest.at(-1) < 100, `${longest.join(', ')} ms`);
  return `${longest.join(', ')} ms`;
});

await check('a narrow screen', async () => {
  await page.setViewportSize({ width: 360, height: 740 });
  await page.reload();
  await ready();
  await choose('photo.jpg', photo);
  await answered();
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  expect(wide <= 360, `${wide} pixels wide`);
  await page.screenshot({ path: join(screenshots, 'narrow.png'), fullPage: true });
});

await check('without a connection after the first visit', async () => {
  await page.evaluate(() => navigator.serviceWorker.ready);
  await page.waitForFunction(async (file) => (await caches.match(file)) !== undefined, first.file);
  await context.setOffline(true);
  await page.reload();
  await ready();
  await choose('photo.jpg', photo);
  const said = agrees(await answered(), upright);
  await context.setOffline(false);
  return said;
});

const integers = models.find(({ precision }) => precision === 'integers');
if (integers) {
  await check('integers have the same bits in all files of the module', async () => {
    const [fast, plain] = await page.evaluate(async (url) => {
      const { load } = await import('./index.js');
      const image = new ImageData(40, 30);
      image.data.forEach((_, index, data) => { data[index] = (index * 7919) % 256; });
      const logits = [];
      for (const wasmUrl of [undefined, new URL('mobilenet.integers.wasm', location).href]) {
        const loaded = await load({ modelUrl: url, wasmUrl });
        logits.push(Array.from(await loaded.infer(image)));
        loaded.dispose();
      }
      return logits;
    }, integers.file);
    expect(fast.length > 0 && fast.every((value, index) => value === plain[index]), 'they differ');
  });
}

const detector = models.find(({ detects }) => detects);
if (detector && detectorWeights) {
  await check('a detector draws the boxes of the native one', async () => {
    const file = join(scratch, 'photo.jpg');
    const text = execFileSync(native, ['detect', file, '--weights', detectorWeights, '--exact', '--json']);
    const { detections: objects } = JSON.parse(text);
    await choose('photo.jpg', photo);
    await page.selectOption('#model', detector.name);
    await page.waitForSelector('#boxes rect', { timeout: 60_000 });
    const found = await answers();
    const boxes = await page.$$eval('#boxes rect', (drawn) => drawn.map((rect) => {
      const [x, y, width, height] = ['x', 'y', 'width', 'height'].map((name) => Number(rect.getAttribute(name)));
      return [y, x, y + height, x + width];
    }).reverse());
    expect(found.length === objects.length, `${found.length} objects, expected ${objects.length}`);
    objects.forEach(({ label, score, box }, place) => {
      const { name, share } = found[place];
      expect(name === label && Math.abs(share - score) <= JPEG, `${name} ${share}, expected ${label} ${score}`);
      const error = Math.max(...box.map((side, at) => Math.abs(side - boxes[place][at])));
      expect(error <= 0.02 * Math.max(...box), `box ${place} is off by ${error} pixels`);
    });
    await page.screenshot({ path: join(screenshots, 'boxes.png'), fullPage: true });
    return found.map(({ name, share }) => `${name} ${(100 * share).toFixed(1)} %`).join(', ');
  });
} else {
  console.log('SKIPPED boxes: no detector was given');
}

await check('nothing leaves the browser', () => expect(foreign.length === 0, foreign.join(', ')));
await check('no errors on the console', () => expect(complaints.length === 0, complaints.join('; ')));
await browser.close();

const isolated = await serve(folder, { isolated: true });
const shared = await launch();
await check('threads give the numbers of one thread, where memory may be shared', async () => {
  const tab = await shared.newPage();
  await tab.goto(`http://127.0.0.1:${isolated.address().port}/`);
  await ready(tab);
  const kinds = [first, models.find(({ precision }) => precision === 'integers')].filter(Boolean);
  const notes = [];
  for (const { file, precision } of kinds) {
    const found = await tab.evaluate(async ([url, numberType]) => {
      const { load } = await import('./index.js');
      const { threadsFor } = await import('./engine.js');
      const possible = threadsFor(2, numberType);
      const image = new ImageData(40, 30);
      image.data.forEach((_, index, data) => { data[index] = (index * 7919) % 256; });
      const [one, two] = [await load({ modelUrl: url }), await load({ modelUrl: url, threads: 2 })];
      const right = await one.infer(image);
      const first = await two.infer(image);
      const error = Math.max(...first.map((value, index) => Math.abs(value - right[index])));
      let [wrong, time, fastest] = [0, Infinity, Infinity];
      for (let run = 0; run < 200; run++) {
        const { logits, milliseconds } = await two.run(image);
        if (logits.some((value, index) => value !== first[index])) wrong += 1;
        fastest = Math.min(fastest, milliseconds);
        time = Math.min(time, (await one.run(image)).milliseconds);
      }
      const refused = await load({ modelData: new ArrayBuffer(100), threads: 2 }).then(() => 'accepted', (error) => error.message);
      const { threads } = two;
      one.dispose();
      two.dispose();
      return { threads, possible, error, wrong, time, fastest, refused };
    }, [file, Number(precision === 'integers')]);
    // Threads of integers need exact relaxed products, which processors without VNNI lack.
    const expected = precision === 'integers' ? found.possible : 2;
    expect(found.threads === expected, `${found.threads} threads`);
    expect(found.error === 0, `${precision}: off by ${found.error}`);
    expect(found.wrong === 0, `${found.wrong} of 200 runs have other numbers`);
    expect(found.refused !== 'accepted', 'broken weights were accepted');
    notes.push(`${precision}: ${found.fastest.toFixed(2)} ms instead of ${found.time.toFixed(2)}, ${found.threads} threads`);
  }
  return notes.join(', ');
});
await shared.close();
isolated.close();

if (singleFile) {
  const alone = await launch();
  await check('the single file works from the disk', async () => {
    const opened = await alone.newPage();
    const requested = [];
    opened.on('request', (request) => requested.push(request.url()));
    await opened.goto(`file://${singleFile}`);
    await ready(opened);
    await opened.setInputFiles('#file', { name: 'photo.jpg', mimeType: 'image/jpeg', buffer: photo });
    await opened.waitForSelector('#answers li');
    const name = await opened.textContent('#answers li span:nth-child(2)');
    expect(name === upright.predictions[0].label, name);
    const others = requested.filter((url) => !/^(file|blob|data):/.test(url));
    expect(others.length === 0, others.join(', '));
    return name;
  });
  await alone.close();
}

const withCamera = await launch(['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream']);
await check('the camera gives answers and frames a second', async () => {
  const filmed = await withCamera.newPage({ permissions: ['camera'] });
  await filmed.goto(home);
  await ready(filmed);
  await filmed.click('#camera');
  await filmed.waitForFunction(() => /\d frames a second/.test(document.getElementById('speed').textContent), undefined, { timeout: 30_000 });
  await filmed.waitForTimeout(1500);
  const speed = await filmed.textContent('#speed');
  await filmed.screenshot({ path: join(screenshots, 'camera.png') });
  await filmed.click('#camera');
  return speed;
});
await withCamera.close();

const denied = await launch(['--use-fake-device-for-media-stream']);
await check('a camera that is denied gives a message', async () => {
  const quiet = await denied.newPage({ permissions: [] });
  await quiet.goto(home);
  await ready(quiet);
  await quiet.click('#camera');
  await quiet.waitForSelector('#message.bad', { timeout: 10_000 });
  return quiet.textContent('#message');
});
await denied.close();
server.close();
rmSync(scratch, { recursive: true });
finish();
