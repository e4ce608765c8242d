// Everything that a Node program can do wrong with a request, one route each. What went wrong is told on stdout as
// "WHAT TYPE: MESSAGE"; the suite compares.

import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Identity, Server } from './server.mjs';

async function tell(what, call) {
  try {
    await call();
    console.log(`${what} nothing: no error`);
  } catch (error) {
    console.log(`${what} ${error.name}: ${error.message}`);
  }
}

const ROUTES = {
  async '/twice'(request) {
    request.respond(200, [], 'first');
    await tell('twice', () => request.respond(200, [], 'second'));
  },
  '/throw'() {
    throw new Error('thrown on purpose');
  },
  async '/throw-later'() {
    await sleep(10);
    throw new Error('thrown later');
  },
  '/forget'() {},
  '/stale'(request) {
    request.respond(200, [], 'first');
    setTimeout(async () => {
      await tell('stale', () => request.respond(200, [], 'second'));
      await tell('stale-read', () => request.target);
    }, 50);
  },
  async '/inject'(request) {
    await tell('inject', () => request.respond(200, [['x-a', 'b\r\nx-injected: c']]));
    request.respond(200, [], 'well');
  },
  async '/behind'(request) {
    request.begin(200, [], 5);
    await request.write('first');
    request.finish();
    await tell('behind', () => request.write('second'));
  },
  async '/configure'(request) {
    await tell('key', () => new Server([], { handshake_timeot: '2s' }));
    await tell('value', () => new Server([], { handshake_timeout: 'soon' }));
    await tell('address', () => new Server([['nowhere', null]]));
    await tell('nothing', () => new Server([]));
    request.respond(200, [], 'well');
  },
  async '/hang'(request) {
    await once(request.signal, 'abort');
  },
  '/exit'() {
    process.exit(7);
  },
};

const server = new Server([['127.0.0.1:0', null], ['127.0.0.1:0', Identity.selfSigned('localhost')]]);
process.once('SIGTERM', () => server.shutdown());
console.log(`listening http://${server.address(0)}\nlistening https://${server.address(1)}\nready`);
const route = (request) => (ROUTES[request.path] ?? (() => request.respond(200, [], 'well')))(request);
await server.serve(route);

// Behind the end.
server.shutdown();
await server.serve(route);
console.log(`ended ${server.address()} ${server.metrics().length > 0}`);
