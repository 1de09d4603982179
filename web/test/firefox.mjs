// The page in Firefox: a photo has the native answer; threads give the numbers that one gives.
//
// node firefox.mjs PAGE PHOTO NATIVE WEIGHTS     as `browser.mjs`
// Needs puppeteer-core (in NODE_MODULES) and Firefox (FIREFOX, or /usr/bin/firefox-esr).

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createRequire } from 'node:module';

import { check, expect, finish } from './expect.mjs';
import { serve } from './server.mjs';

const [folder, photo, native, weights] = process.argv.slice(2);
const puppeteer = createRequire(join(process.env.NODE_MODULES ?? '.', 'x'))('puppeteer-core');
const [first] = JSON.parse(readFileSync(join(folder, 'models.json'))).models;
const answer = execFileSync(native, ['classify', photo, '--weights', weights, '--json', '--quiet']);
const [{ label, probability }] = JSON.parse(answer).predictions;

const server = await serve(folder, { isolated: true });
const browser = await puppeteer.launch({
  browser: 'firefox',
  executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr',
});
const page = await browser.newPage();
/** Decoders of JPEG differ. */
const JPEG = 0.03;

await check('Firefox: a chosen photo has the native answer', async () => {
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.waitForSelector('body[data-ready]', { timeout: 60_000 });
  const input = await page.$('#file');
  await input.uploadFile(resolve(photo));
  await page.waitForSelector('#answers li', { timeout: 30_000 });
  const [name, share] = await page.$$eval('#answers li:first-child span', (all) => all.slice(1).map((one) => one.textContent));
  expect(name === label, `${name}, expected ${label}`);
  expect(Math.abs(Number.parseFloat(share) / 100 - probability) <= JPEG, `${share}, expected ${probability}`);
  return `${name}, ${share}`;
});

await check('Firefox: two threads give the numbers of one', async () => {
  // With the files that were kept.
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => true));
  await page.reload();
  await page.waitForSelector('body[data-ready]', { timeout: 60_000 });
  const [threads, difference] = await page.evaluate(async (url) => {
    const { load } = await import('./index.js');
    const image = new ImageData(40, 30);
    image.data.forEach((_, index, data) => { data[index] = (index * 7919) % 256; });
    const [one, two] = [await load({ modelUrl: url }), await load({ modelUrl: url, threads: 2 })];
    const [a, b] = [await one.infer(image), await two.infer(image)];
    const found = [two.threads, Math.max(...a.map((value, index) => Math.abs(value - b[index])))];
    one.dispose();
    two.dispose();
    return found;
  }, new URL(first.file, page.url()).href);
  expect(threads === 2, `${threads} threads`);
  expect(difference === 0, `off by ${difference}`);
});

await browser.close();
server.close();
finish();
