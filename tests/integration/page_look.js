// Opens a page in headless Chromium and tells what it shows: one line of JSON on standard output for each line of
// standard input, which is either a condition in JavaScript that is waited for, or `shot NAME WIDTH HEIGHT light|dark`.
// Spoken to by the DevTools protocol over a pipe, so nothing but Chromium is needed.
'use strict';
const {spawn} = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');
const readline = require('readline');

const [url, folder] = process.argv.slice(2);
const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'turnout-page-'));
const browser = spawn('chromium', ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
  '--no-first-run', '--hide-scrollbars', '--remote-debugging-pipe', `--user-data-dir=${profile}`, 'about:blank'],
  {stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe']});

let onLoad = () => {};
let number = 0;
const waiting = new Map();
const problems = [];
const requests = [];
let rest = '';
browser.stdio[4].on('data', bytes => {
  rest += bytes;
  for (let end; (end = rest.indexOf('\0')) >= 0; rest = rest.slice(end + 1)) take(JSON.parse(rest.slice(0, end)));
});

function take(message) {
  if (message.id) {
    const {resolve, reject} = waiting.get(message.id);
    waiting.delete(message.id);
    return message.error ? reject(new Error(message.error.message)) : resolve(message.result);
  }
  if (message.method === 'Page.loadEventFired') onLoad();
  if (message.method === 'Runtime.exceptionThrown') problems.push(message.params.exceptionDetails.text + ' ' +
    (message.params.exceptionDetails.exception || {}).description);
  if (message.method === 'Log.entryAdded' && message.params.entry.level === 'error') problems.push(message.params.entry.text);
  if (message.method === 'Network.requestWillBeSent') requests.push(message.params.request.url);
}

function send(method, params = {}, sessionId) {
  const id = ++number;
  browser.stdio[3].write(JSON.stringify({id, method, params, sessionId}) + '\0');
  return new Promise((resolve, reject) => waiting.set(id, {resolve, reject}));
}

(async () => {
  const {targetId} = await send('Target.createTarget', {url: 'about:blank'});
  const {sessionId} = await send('Target.attachToTarget', {targetId, flatten: true});
  const page = (method, params) => send(method, params, sessionId);
  const evaluate = async expression => {
    const {result, exceptionDetails} = await page('Runtime.evaluate', {expression, returnByValue: true, awaitPromise: true});
    if (exceptionDetails) throw new Error(expression + ': ' + exceptionDetails.text);
    return result.value;
  };
  for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await page(domain + '.enable');
  const loaded = new Promise(done => { onLoad = done; });
  await page('Page.navigate', {url});
  await loaded;

  for await (const line of readline.createInterface({input: process.stdin})) {
    const shot = /^shot (\S+) (\d+) (\d+) (light|dark)$/.exec(line);
    if (shot) {
      const [, name, width, height, scheme] = shot;
      await page('Emulation.setDeviceMetricsOverride', {width: +width, height: +height, deviceScaleFactor: 1, mobile: +width < 600});
      await page('Emulation.setEmulatedMedia', {features: [{name: 'prefers-color-scheme', value: scheme}]});
      await evaluate('new Promise(done => setTimeout(done, 1300))');  // until the next event has been drawn
      const {data} = await page('Page.captureScreenshot', {format: 'png', captureBeyondViewport: true});
      fs.writeFileSync(path.join(folder, name + '.png'), Buffer.from(data, 'base64'));
      console.log(JSON.stringify({shot: name, width: await evaluate('document.documentElement.scrollWidth')}));
    } else {
      while (!await evaluate(line)) await evaluate('new Promise(done => setTimeout(done, 50))');
      const text = await evaluate(`Object.fromEntries([...document.querySelectorAll('[id]')].map(e => [e.id, e.textContent]))`);
      console.log(JSON.stringify({text, problems, requests}));
    }
  }
  const ended = new Promise(done => browser.once('exit', done));
  send('Browser.close').catch(() => {});
  await ended;
  try {
    fs.rmSync(profile, {recursive: true, force: true, maxRetries: 10});
  } catch {
    // A helper of the browser's outlives it for a moment and may still write there.
  }
  process.exit(0);
})().catch(error => {
  console.error(error);
  browser.kill();
  process.exit(1);
});
