// The smallest server: one address, one answer, and a drain on Ctrl-C.

import { Identity, Server } from './server.mjs';

const address = process.argv[2] ?? '127.0.0.1:8443';
const identity = Identity.selfSigned('localhost', '127.0.0.1', '::1');
const server = new Server([[address, identity]], { handshake_timeout: '10s' });
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => server.shutdown());
console.log(`curl --insecure https://${server.address()}/`);

await server.serve((request) => request.respond(200, [['content-type', 'text/plain']], 'Hello, World!\n'));
