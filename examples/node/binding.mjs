// The C ABI as koffi sees it: structures, prototypes and numbers under their names in bartizan.h, whose words apply. Only what a
// program that drains a queue needs stands here; what makes it JavaScript is server.mjs.

import koffi from 'koffi';

export const ABI = 0;

export const numbers = {
  BARTIZAN_OK: 0,
  BARTIZAN_EOF: 1,
  BARTIZAN_AGAIN: 2,
  BARTIZAN_E_HANDLE: -5,
  BARTIZAN_E_CLOSED: -10,
  BARTIZAN_E_LIMIT: -12,
  BARTIZAN_EV_REQUEST: 1,
  BARTIZAN_EV_BODY: 2,
  BARTIZAN_EV_WRITABLE: 3,
  BARTIZAN_EV_CANCELLED: 4,
  BARTIZAN_EV_DONE: 5,
};

const str = koffi.struct('bartizan_str', { ptr: 'const void *', len: 'size_t' });
const header = koffi.struct('bartizan_header', { name: str, value: str });

const tlsInfo = koffi.struct('bartizan_tls_info', {
  struct_size: 'uint32_t',
  version: 'uint32_t',
  cipher_suite: 'uint32_t',
  group: 'uint32_t',
  version_name: str,
  suite_name: str,
  group_name: str,
  server_name: str,
  alpn: str,
  resumed: 'uint32_t',
  peer_certificates: 'uint32_t',
});

const requestView = koffi.struct('bartizan_request_view', {
  struct_size: 'uint32_t',
  flags: 'uint32_t',
  request: 'uint64_t',
  connection: 'uint64_t',
  http_version: 'uint32_t',
  listener: 'uint32_t',
  method: str,
  scheme: str,
  authority: str,
  target: str,
  path: str,
  query: str,
  peer_ip: str,
  local_ip: str,
  peer_port: 'uint32_t',
  local_port: 'uint32_t',
  headers: 'void *',
  header_count: 'size_t',
  header_block: str,
  content_length: 'int64_t',
  body: str,
  tls: 'void *',
  stream: 'uint32_t',
  reserved: 'uint32_t',
});

const event = koffi.struct('bartizan_event', {
  kind: 'uint32_t',
  status: 'int32_t',
  request: 'uint64_t',
  connection: 'uint64_t',
  tag: 'uint64_t',
  data: 'void *',
  arg: koffi.array('uint64_t', 3),
});

export const structures = { str, header, tlsInfo, requestView, event };

// A buffer that a function fills in, or an object of the library's, is a `void *`: koffi takes a Buffer or an address for it.
const library = koffi.load('libbartizan.so.0');

const declare = (prototype) => library.func(prototype);

export const c = {
  abi_check: declare('int32_t bartizan_abi_check(uint32_t abi)'),
  status_name: declare('const char *bartizan_status_name(int32_t status)'),
  reason_name: declare('const char *bartizan_reason_name(uint32_t reason)'),
  error_message: declare('const char *bartizan_error_message(void *error)'),
  error_free: declare('void bartizan_error_free(void *error)'),
  config_new: declare('void *bartizan_config_new()'),
  config_free: declare('void bartizan_config_free(void *config)'),
  config_set_text: declare('int32_t bartizan_config_set_text(void *config, const char *key, void *text, size_t len, void *err)'),
  config_listen: declare('int32_t bartizan_config_listen(void *config, const char *address, void *tls, void *listener, void *err)'),
  config_queue: declare('int32_t bartizan_config_queue(void *config, void *queue, uint64_t event_mask, void *err)'),
  identity_from_pem: declare(
    'int32_t bartizan_identity_from_pem(void *chain, size_t chain_len, void *key, size_t key_len, void *out, void *err)',
  ),
  identity_self_signed: declare('int32_t bartizan_identity_self_signed(void *names, size_t len, void *out, void *err)'),
  identity_free: declare('void bartizan_identity_free(void *identity)'),
  tls_new: declare('void *bartizan_tls_new()'),
  tls_free: declare('void bartizan_tls_free(void *tls)'),
  tls_identity: declare('int32_t bartizan_tls_identity(void *tls, const char *name, void *identity, void *err)'),
  queue_new: declare('int32_t bartizan_queue_new(void *out, void *err)'),
  queue_fd: declare('int64_t bartizan_queue_fd(void *queue)'),
  queue_next: declare('int32_t bartizan_queue_next(void *queue, void *events, size_t max, int64_t timeout_ms, void *n)'),
  queue_free: declare('void bartizan_queue_free(void *queue)'),
  server_start: declare('int32_t bartizan_server_start(void *config, void *out, void *err)'),
  server_address: declare('int32_t bartizan_server_address(void *server, uint32_t listener, void *buf, size_t cap, void *len)'),
  server_metrics_text: declare('int32_t bartizan_server_metrics_text(void *server, void *buf, size_t cap, void *len)'),
  server_shutdown: declare('int32_t bartizan_server_shutdown(void *server, int64_t grace_ms)'),
  server_wait: declare('int32_t bartizan_server_wait(void *server, int64_t timeout_ms)'),
  server_free: declare('void bartizan_server_free(void *server)'),
  request_set_text: declare('int32_t bartizan_request_set_text(uint64_t request, const char *key, void *text, size_t len)'),
  request_release: declare('int32_t bartizan_request_release(uint64_t request)'),
  body_read: declare('int32_t bartizan_body_read(uint64_t request, void *buf, size_t cap, int64_t timeout_ms, void *n)'),
  body_arm: declare('int32_t bartizan_body_arm(uint64_t request)'),
  body_trailers: declare('int32_t bartizan_body_trailers(uint64_t request, void *trailers, void *n)'),
  respond: declare(
    'int32_t bartizan_respond(uint64_t request, uint32_t code, const bartizan_header *headers, size_t count, ' +
      'void *body, size_t len)',
  ),
  response_begin: declare(
    'int32_t bartizan_response_begin(uint64_t request, uint32_t code, const bartizan_header *headers, size_t count, ' +
      'int64_t content_length)',
  ),
  response_write: declare(
    'int32_t bartizan_response_write(uint64_t request, void *buf, size_t len, int64_t timeout_ms, void *accepted)',
  ),
  response_arm: declare('int32_t bartizan_response_arm(uint64_t request)'),
  response_finish: declare('int32_t bartizan_response_finish(uint64_t request, const bartizan_header *trailers, size_t count)'),
};

// Of what the library shows, octets are copied out: a view of foreign memory would outlive what it shows.
const memcpy = library.func('void *memcpy(void *to, void *from, size_t n)');

export function copy(from, length) {
  const octets = Buffer.alloc(Number(length));
  if (octets.length) memcpy(octets, from, octets.length);
  return octets;
}

/** The offset of each member: reading one from a copied structure is cheaper than decoding the whole. */
export const offsets = (type) =>
  Object.fromEntries(Object.values(type.members).map((member) => [member.name, member.offset]));
