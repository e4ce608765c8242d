// A server on the C ABI: a handler is a function that may be async, and Node's loop is woken by the queue's descriptor. The probe
// and the hello beside it use nothing else; what is C stands in binding.mjs.

import koffi from 'koffi';
import { ABI, c, copy, numbers, offsets, structures } from './binding.mjs';

const { BARTIZAN_OK: OK, BARTIZAN_EOF: EOF, BARTIZAN_AGAIN: AGAIN } = numbers;
const { BARTIZAN_E_HANDLE: E_HANDLE, BARTIZAN_E_CLOSED: E_CLOSED, BARTIZAN_E_LIMIT: E_LIMIT } = numbers;
const { BARTIZAN_EV_REQUEST: REQUEST, BARTIZAN_EV_BODY: BODY, BARTIZAN_EV_WRITABLE: WRITABLE } = numbers;
const { BARTIZAN_EV_CANCELLED: CANCELLED, BARTIZAN_EV_DONE: DONE } = numbers;

const EVENT = offsets(structures.event);
const VIEW = offsets(structures.requestView);
const TLS = offsets(structures.tlsInfo);
const HEADER = offsets(structures.header);
const STR = offsets(structures.str);
const EVENT_SIZE = structures.event.size;

// A burst of requests costs one call.
const BATCH = 64;

/** A call that failed: `code` is its status, such as 'E_STATE'; the message is the library's where it has one. */
export class BartizanError extends Error {
  constructor(status, message) {
    const code = c.status_name(status);
    super(message ? `${code}: ${message}` : code);
    this.name = 'BartizanError';
    this.code = code;
  }
}

function check(status) {
  if (status < 0) throw new BartizanError(status);
  return status;
}

/** A pointer or size that a call fills in. */
const out = () => Buffer.alloc(8);
const filled = (buffer) => buffer.readBigUInt64LE(0);

/** A call whose last parameter says why it failed. */
function setUp(call, ...args) {
  const why = out();
  const status = call(...args, why);
  if (status >= 0) return;
  const error = filled(why);
  const message = c.error_message(error);
  c.error_free(error);
  throw new BartizanError(status, message);
}

/** Asks again with more room while there is too little. */
function reply(ask) {
  for (let room = 1024; ; ) {
    const buffer = Buffer.alloc(room);
    const length = out();
    const status = ask(buffer, room, length);
    const needed = Number(filled(length));
    if (status !== E_LIMIT) {
      check(status);
      return buffer.toString('utf8', 0, needed);
    }
    room = Math.ceil(needed * 1.25) + 1;
  }
}

const octets = (text) => (typeof text === 'string' ? Buffer.from(text) : text);

const lend = (fields) =>
  fields.map((pair) => {
    const [name, value] = pair.map(octets);
    return { name: { ptr: name, len: name.length }, value: { ptr: value, len: value.length } };
  });

/** A copy of a structure of the library, read member by member. */
class Copied {
  constructor(at, type) {
    this.octets = copy(at, type.size);
  }

  u32(at) {
    return this.octets.readUInt32LE(at);
  }

  u64(at) {
    return Number(this.octets.readBigUInt64LE(at));
  }

  text(at) {
    return copy(this.octets.readBigUInt64LE(at), this.u64(at + STR.len)).toString('latin1');
  }

  address(ip, port) {
    const text = this.text(ip);
    return text.includes(':') ? `[${text}]:${this.u32(port)}` : text ? `${text}:${this.u32(port)}` : 'unix:';
  }
}

// What is freed with the last reference, as a call.
const owned = new FinalizationRegistry((free) => free());

function own(owner, free, at) {
  owned.register(owner, () => free(at));
}

/** A certificate chain and its key. */
export class Identity {
  constructor(call, ...args) {
    const at = out();
    setUp(call, ...args, at);
    this.at = filled(at);
    own(this, c.identity_free, this.at);
  }

  /** For development: DNS names and IP addresses. */
  static selfSigned(...names) {
    const list = Buffer.from(names.join(','));
    return new Identity(c.identity_self_signed, list, list.length);
  }

  static fromPem(chain, key) {
    return new Identity(c.identity_from_pem, octets(chain), octets(chain).length, octets(key), octets(key).length);
  }
}

function listen(config, address, identity) {
  const tls = identity ? c.tls_new() : null;
  try {
    if (tls) setUp(c.tls_identity, tls, null, identity.at);
    setUp(c.config_listen, config, address, tls, null);
  } finally {
    c.tls_free(tls);
  }
}

export class Server {
  #requests = new Map();
  #events = Buffer.alloc(BATCH * EVENT_SIZE);
  #count = out();
  #queue;
  #server;

  /** Pairs of address and identity (null: cleartext), and settings by their names: { handshake_timeout: '10s' }. */
  constructor(listeners, settings = {}) {
    check(c.abi_check(ABI));
    const config = c.config_new();
    const made = out();
    try {
      for (const [key, value] of Object.entries(settings)) {
        const text = octets(String(value));
        setUp(c.config_set_text, config, key, text, text.length);
      }
      for (const [address, identity] of listeners) listen(config, address, identity);
      setUp(c.queue_new, made);
      this.#queue = filled(made);
      // Not with the end: `metrics` and `shutdown` are harmless behind it.
      own(this, c.queue_free, this.#queue);
      setUp(c.config_queue, config, this.#queue, 0);
      setUp(c.server_start, config, made);
      this.#server = filled(made);
      own(this, c.server_free, this.#server);
    } finally {
      c.config_free(config);
    }
  }

  address(listener = 0) {
    return reply((...buffer) => c.server_address(this.#server, listener, ...buffer));
  }

  metrics() {
    return reply((...buffer) => c.server_metrics_text(this.#server, ...buffer));
  }

  /** Accepts nothing new; what is under way completes within drain_timeout. Then `serve` resolves. */
  shutdown() {
    c.server_shutdown(this.#server, -1);
  }

  /** Calls the handler for each request, until the server was shut down and is drained. Once. */
  async serve(handle) {
    const running = new Set();
    await new Promise((resolve) => {
      const poll = koffi.node.poll(Number(c.queue_fd(this.#queue)), () => {
        const status = c.queue_next(this.#queue, this.#events, BATCH, 0, this.#count);
        const count = Number(filled(this.#count));
        for (let i = 0; i < count; i++) this.#take(this.#events.subarray(i * EVENT_SIZE), handle, running);
        if (status !== E_CLOSED) return;
        poll.close();
        resolve();
      });
    });
    await Promise.all(running);
    c.server_wait(this.#server, -1);
  }

  #take(event, handle, running) {
    const kind = event.readUInt32LE(EVENT.kind);
    const id = Number(event.readBigUInt64LE(EVENT.request));
    if (kind === REQUEST) {
      const request = new Request(id, event.readBigUInt64LE(EVENT.data));
      this.#requests.set(id, request);
      const done = this.#run(request, handle).finally(() => running.delete(done));
      running.add(done);
    } else {
      this.#requests.get(id)?.tell(kind, event.readUInt32LE(EVENT.arg));
    }
  }

  /** Whatever becomes of the handler, its request is released: without an answer that is a 500. */
  async #run(request, handle) {
    try {
      await handle(request);
    } catch (error) {
      console.error(`bartizan: handler of ${request.path} failed:`, error);
    } finally {
      this.#requests.delete(request.id);
      request.release();
    }
  }
}

/** One request and its answer, until its handler's promise settles; from then on everything throws E_HANDLE. Texts map octets to
 * Latin-1, as Node's own header values do. Content: `for await (const piece of request)`. */
class Request {
  #view;
  #waiting = new Map();
  #ended;
  #over = false;
  /** Resolves when the exchange has ended on the network, whoever ended it: what is computed for it now is for nobody. */
  over = new Promise((resolve) => { this.#ended = resolve; });
  #gone = new AbortController();

  constructor(id, view) {
    this.id = id;
    this.#view = new Copied(view, structures.requestView);
  }

  /** Of the server: the end. */
  release() {
    this.#view = null;
    c.request_release(this.id);
  }

  /** Of the server: an event of this request. */
  tell(kind, reason) {
    if (kind === CANCELLED) this.#gone.abort(c.reason_name(reason));
    if (kind === DONE) {
      this.#over = true;
      this.#ended();
    }
    for (const waited of [BODY, WRITABLE]) {
      if (kind === waited || this.#over) this.#waiting.get(waited)?.();
    }
  }

  async #await(arm, kind) {
    check(arm(this.id));
    if (!this.#over) await new Promise((resolve) => this.#waiting.set(kind, resolve));
  }

  /** Aborts when the exchange is cancelled; the reason is the library's. After 'peer.closed', which may be half a close, an answer
   * may still go out. */
  get signal() {
    return this.#gone.signal;
  }

  // ---- what was asked ----

  get #shown() {
    if (!this.#view) throw new BartizanError(E_HANDLE, 'the request was released');
    return this.#view;
  }

  get method() { return this.#shown.text(VIEW.method); }
  get scheme() { return this.#shown.text(VIEW.scheme); }
  get authority() { return this.#shown.text(VIEW.authority); }
  get target() { return this.#shown.text(VIEW.target); }
  get path() { return this.#shown.text(VIEW.path); }
  get query() { return this.#shown.text(VIEW.query); }
  get peer() { return this.#shown.address(VIEW.peer_ip, VIEW.peer_port); }
  get local() { return this.#shown.address(VIEW.local_ip, VIEW.local_port); }
  get httpVersion() { return { 10: '1.0', 11: '1.1', 20: '2' }[this.#shown.u32(VIEW.http_version)]; }
  get listener() { return this.#shown.u32(VIEW.listener); }
  get connection() { return this.#shown.u64(VIEW.connection); }
  /** -1: not announced. */
  get contentLength() { return Number(this.#shown.octets.readBigInt64LE(VIEW.content_length)); }

  /** Pairs of name and value, names in lower case. */
  get headers() {
    const words = this.#shown.text(VIEW.header_block).split('\0');
    return Array.from({ length: this.#shown.u64(VIEW.header_count) }, (_, i) => [words[2 * i], words[2 * i + 1]]);
  }

  /** What the handshake negotiated; null on cleartext. */
  get tls() {
    const at = this.#shown.octets.readBigUInt64LE(VIEW.tls);
    if (!at) return null;
    const info = new Copied(at, structures.tlsInfo);
    return {
      version: info.text(TLS.version_name),
      suite: info.text(TLS.suite_name),
      group: info.text(TLS.group_name),
      server_name: info.text(TLS.server_name) || null,
      alpn: info.text(TLS.alpn) || null,
      resumed: info.u32(TLS.resumed) !== 0,
      peer_certificates: info.u32(TLS.peer_certificates),
    };
  }

  async *[Symbol.asyncIterator]() {
    const count = out();
    for (;;) {
      const piece = Buffer.allocUnsafe(64 * 1024);
      const status = check(c.body_read(this.id, piece, piece.length, 0, count));
      if (status === OK) yield piece.subarray(0, Number(filled(count)));
      else if (status === EOF) return;
      else await this.#await(c.body_arm, BODY);
    }
  }

  /** Once everything is read. */
  trailers() {
    const at = out();
    const count = out();
    check(c.body_trailers(this.id, at, count));
    return Array.from({ length: Number(filled(count)) }, (_, i) => {
      const field = new Copied(filled(at) + BigInt(i * structures.header.size), structures.header);
      return [field.text(HEADER.name), field.text(HEADER.value)];
    });
  }

  // ---- the answer ----

  /** Answers in one piece. */
  respond(code, headers = [], content = '') {
    const body = octets(content);
    check(c.respond(this.id, code, lend(headers), headers.length, body, body.length));
  }

  /** Begins an answer that is written piece by piece. */
  begin(code, headers = [], contentLength = -1) {
    check(c.response_begin(this.id, code, lend(headers), headers.length, contentLength));
  }

  /** Writes a piece, at the pace of the peer. */
  async write(content) {
    const accepted = out();
    for (let rest = octets(content); rest.length; ) {
      const status = check(c.response_write(this.id, rest, rest.length, 0, accepted));
      rest = rest.subarray(Number(filled(accepted)));
      if (status === AGAIN) await this.#await(c.response_arm, WRITABLE);
    }
  }

  finish(trailers = []) {
    check(c.response_finish(this.id, lend(trailers), trailers.length));
  }

  /** Moves a limit of this request: set('handler_timeout', '1m'). */
  set(key, text) {
    const value = octets(text);
    check(c.request_set_text(this.id, key, value, value.length));
  }
}
