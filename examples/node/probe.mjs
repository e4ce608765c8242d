// The routes of the probe contract that show a queue: whole answers, streams both ways, time, cancellation.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { BartizanError, Identity, Server } from './server.mjs';

const HELLO = 'Hello, World!';
const type = (value) => [['content-type', value]];
const TEXT = type('text/plain');
const OCTETS = type('application/octet-stream');
const PIECE = Buffer.alloc(64 * 1024);

/** A value of the target that does not parse: 400, with the reason. */
class BadValue extends Error {}

function number(text, most) {
  if (!/^[0-9]+$/.test(text) || BigInt(text) > most) throw new BadValue(`${text}: not a number from 0 to ${most}`);
  return Number(text);
}

/** KEY=TEXT of the query sets a limit of this request. */
function setLimits(request) {
  for (const piece of request.query.split('&').filter(Boolean)) {
    const at = piece.indexOf('=');
    if (at < 0) throw new BadValue(`${piece}: not KEY=TEXT`);
    try {
      request.set(piece.slice(0, at), piece.slice(at + 1));
    } catch (error) {
      throw new BadValue(`${piece}: ${error.message}`);
    }
  }
}

async function inspect(request) {
  const digest = createHash('sha256');
  let length = 0;
  for await (const piece of request) {
    digest.update(piece);
    length += piece.length;
  }
  const { method, scheme, authority, target, path, query, httpVersion: http, headers, peer, local, listener, tls } = request;
  const seen = {
    ...{ method, scheme, authority, target, path, query, http, headers, trailers: request.trailers() },
    ...{ body: { length, sha256: digest.digest('hex') }, peer, local, listener, conn: request.connection, tls },
  };
  request.respond(200, type('application/json'), JSON.stringify(seen));
}

async function echo(request) {
  // The answer begins with the first content, not before: until then a 408 or 413 can still be sent.
  let begun = false;
  for await (const piece of request) {
    if (!begun) request.begin(200, OCTETS, request.contentLength);
    begun = true;
    await request.write(piece);
  }
  if (!begun) request.begin(200, OCTETS, request.contentLength);
  request.finish();
}

async function zeros(request, count) {
  request.begin(200, OCTETS, count);
  for (let left = count; left > 0; left -= PIECE.length) await request.write(PIECE.subarray(0, left));
  request.finish();
}

async function route(server, request) {
  const { path } = request;
  const get = ['GET', 'HEAD'].includes(request.method);
  const [, stem, argument] = /^(\/\w+\/)(.*)$/.exec(path) ?? [];
  if (path === '/' && get) {
    request.respond(200, TEXT, HELLO);
  } else if (path === '/inspect') {
    await inspect(request);
  } else if (path === '/echo') {
    await echo(request);
  } else if (stem === '/bytes/' && get) {
    const count = number(argument, Number.MAX_SAFE_INTEGER);
    setLimits(request);
    await zeros(request, count);
  } else if (stem === '/wait/' && get) {
    await Promise.race([sleep(number(argument, 2 ** 31 - 1), null, { ref: false }), request.over]);
    request.respond(200, TEXT, HELLO);
  } else if (path === '/hang' && get) {
    if (!request.signal.aborted) await once(request.signal, 'abort');
  } else if (path === '/metrics' && get) {
    request.respond(200, type('application/openmetrics-text; version=1.0.0; charset=utf-8'), server.metrics());
  } else {
    request.respond(404, TEXT, 'not found\n');
  }
}

async function handle(server, request) {
  try {
    await route(server, request);
  } catch (error) {
    if (error instanceof BadValue) request.respond(400, TEXT, `${error.message}\n`);
    // When the exchange is over, the library has said why.
    else if (error.code !== 'E_CANCELLED') throw error;
  }
}

function refuse(why) {
  console.error(`probe: ${why.replace(/\s+/g, ' ')}`);
  process.exit(2);
}

function parse(args) {
  const settings = {};
  const listeners = [];
  const values = args[Symbol.iterator]();
  for (const option of values) {
    const [name, names] = option.split('=', 2);
    const value = ['--set', '--listen'].includes(option) ? values.next().value : null;
    if (value === undefined) refuse(`${option}: a value is missing`);
    if (option === '--set') {
      const at = value.indexOf('=');
      if (at < 0) refuse(`--set ${value}: expected KEY=TEXT`);
      settings[value.slice(0, at)] = value.slice(at + 1);
    } else if (option === '--listen') {
      listeners.push({ address: value });
    } else if (name === '--self-signed' && listeners.length) {
      listeners.at(-1).names = (names ?? 'localhost,127.0.0.1,::1').split(',');
    } else if (option === '--plaintext' && listeners.length) {
      delete listeners.at(-1).names;
    } else {
      refuse(`${option}: unknown, or without a --listen before it`);
    }
  }
  if (!listeners.length) refuse('--listen is missing');
  return { settings, listeners };
}

function start({ settings, listeners }) {
  try {
    const pairs = listeners.map(({ address, names }) => [address, names ? Identity.selfSigned(...names) : null]);
    return new Server(pairs, settings);
  } catch (error) {
    if (!(error instanceof BartizanError)) throw error;
    return refuse(error.message);
  }
}

const options = parse(process.argv.slice(2));
const server = start(options);
// Once each: a second signal ends the process at once.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => server.shutdown());
options.listeners.forEach(({ names }, i) => console.log(`listening ${names ? 'https' : 'http'}://${server.address(i)}`));
console.log('ready');
await server.serve((request) => handle(server, request));
