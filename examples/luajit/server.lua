-- A server on the C ABI: a handler is a coroutine, and one thread waits for the queue's descriptor. The probe and the hello beside
-- it use nothing else; what is C stands in binding.lua, what waits in loop.lua.

local ffi = require 'ffi'
local c = require 'binding'
local loop = require 'loop'

local library, check, set_up, lend, text = c.library, c.check, c.set_up, c.lend, c.text

-- A burst of requests costs one call.
local BATCH = 64

local function address(ip, port)
  ip = text(ip)
  if ip == '' then return 'unix:' end
  return (ip:find ':' and '[%s]:%d' or '%s:%d'):format(ip, port)
end

-- ---- requests ----

-- One request and its answer, until its handler returns; from then on everything raises E_HANDLE.
local Request = {}

-- What the view shows under its own name: texts as strings, numbers as they are.
function Request:__index(name)
  if Request[name] then return Request[name] end
  local value = self:shown()[name]
  if not ffi.istype('bartizan_str', value) then return tonumber(value) end
  return text(value)
end

function Request:shown()
  local view = rawget(self, 'view')
  if not view then c.fail(c.E_HANDLE, 'the request was released') end
  return view
end

function Request:fields() return c.fields(self:shown().headers, self:shown().header_count) end

function Request:peer() return address(self:shown().peer_ip, self:shown().peer_port) end

function Request:from() return address(self:shown().local_ip, self:shown().local_port) end

-- nil where the client named none.
local function optional(str) return str.len > 0 and text(str) or nil end

-- What the handshake negotiated; nil on cleartext.
function Request:tls()
  local info = self:shown().tls
  if info == nil then return nil end
  return {
    version = text(info.version_name),
    suite = text(info.suite_name),
    group = text(info.group_name),
    server_name = optional(info.server_name),
    alpn = optional(info.alpn),
    resumed = info.resumed ~= 0,
    peer_certificates = info.peer_certificates,
  }
end

-- Only the request's own coroutine may wait, and only for one thing.
local function await(self, kind)
  rawset(self, 'waiting', kind)
  coroutine.yield()
  rawset(self, 'waiting', false)
end

local function await_armed(self, arm, kind)
  check(arm(self.id))
  if not self.over then await(self, kind) end
end

-- A piece of the content; nil when it is complete.
function Request:read()
  local octets, n = ffi.new 'const void *[1]', ffi.new 'size_t[1]'
  local status = check(library.bartizan_body_peek(self.id, octets, n))
  while status == c.AGAIN do
    await_armed(self, library.bartizan_body_arm, c.EV_BODY)
    status = check(library.bartizan_body_peek(self.id, octets, n))
  end
  if status == c.EOF then return nil end
  local piece = ffi.string(octets[0], n[0])
  check(library.bartizan_body_consume(self.id, n[0]))
  return piece
end

-- Once everything is read.
function Request:trailers()
  local at, n = ffi.new 'const bartizan_header *[1]', ffi.new 'size_t[1]'
  check(library.bartizan_body_trailers(self.id, at, n))
  return c.fields(at[0], n[0])
end

-- Answers in one piece.
function Request:respond(code, fields, content)
  local headers, count = lend(fields or {})
  check(library.bartizan_respond(self.id, code, headers, count, content or '', #(content or '')))
end

-- Begins an answer that is written piece by piece.
function Request:begin(code, fields, content_length)
  local headers, count = lend(fields or {})
  check(library.bartizan_response_begin(self.id, code, headers, count, content_length or -1))
end

-- Writes a piece, at the pace of the peer.
function Request:write(content)
  local at, left, n = ffi.cast('const char *', content), #content, ffi.new 'size_t[1]'
  while left > 0 do
    local status = check(library.bartizan_response_write(self.id, at, left, 0, n))
    at, left = at + n[0], left - tonumber(n[0])
    if status == c.AGAIN then await_armed(self, library.bartizan_response_arm, c.EV_WRITABLE) end
  end
  return #content
end

function Request:finish(trailers)
  local headers, count = lend(trailers or {})
  check(library.bartizan_response_finish(self.id, headers, count))
end

-- Moves a limit of this request: 'handler_timeout', '1m'.
function Request:set(key, value) check(library.bartizan_request_set_text(self.id, key, value, #value)) end

-- Waits until the exchange is cancelled, and returns the reason; after 'peer.closed', which may be half a close, an answer may
-- still go out.
function Request:gone()
  if not rawget(self, 'reason') and not self.over then await(self, c.EV_CANCELLED) end
  return rawget(self, 'reason')
end

-- Waits so many milliseconds, or until the exchange has ended on the network.
function Request:sleep(ms)
  if self.over then return end
  local asleep = true
  loop.after(ms, function()
    if asleep then self.server:resume(self) end
  end)
  await(self, 'time')
  asleep = false
end

-- ---- servers ----

local Server = {}
Server.__index = Server

-- An identity for development, of DNS names and IP addresses.
local function self_signed(...)
  local names, identity = table.concat({ ... }, ','), ffi.new 'bartizan_identity *[1]'
  set_up(function(why) return library.bartizan_identity_self_signed(names, #names, identity, why) end)
  return ffi.gc(identity[0], library.bartizan_identity_free)
end

local function from_pem(chain, key)
  local identity = ffi.new 'bartizan_identity *[1]'
  set_up(function(why) return library.bartizan_identity_from_pem(chain, #chain, key, #key, identity, why) end)
  return ffi.gc(identity[0], library.bartizan_identity_free)
end

local function listen(config, listener)
  local tls
  if listener.identity then
    tls = ffi.gc(library.bartizan_tls_new(), library.bartizan_tls_free)
    set_up(function(why) return library.bartizan_tls_identity(tls, nil, listener.identity, why) end)
  end
  set_up(function(why) return library.bartizan_config_listen(config, listener.address, tls, nil, why) end)
end

-- Listeners are tables of address and identity (nil: cleartext), settings go by their names: { handshake_timeout = '10s' }.
local function start(listeners, settings)
  check(library.bartizan_abi_check(c.ABI))
  local config = ffi.gc(library.bartizan_config_new(), library.bartizan_config_free)
  for key, value in pairs(settings or {}) do
    set_up(function(why) return library.bartizan_config_set_text(config, key, value, #value, why) end)
  end
  for _, listener in ipairs(listeners) do listen(config, listener) end
  local queue, server = ffi.new 'bartizan_queue *[1]', ffi.new 'bartizan_server *[1]'
  set_up(function(why) return library.bartizan_queue_new(queue, why) end)
  local freed = ffi.gc(queue[0], library.bartizan_queue_free)
  set_up(function(why) return library.bartizan_config_queue(config, freed, 0, why) end)
  set_up(function(why) return library.bartizan_server_start(config, server, why) end)
  return setmetatable({
    requests = {},
    queue = freed,
    server = ffi.gc(server[0], library.bartizan_server_free),
  }, Server)
end

function Server:address(listener)
  return c.reply(function(...) return library.bartizan_server_address(self.server, listener, ...) end)
end

function Server:metrics()
  return c.reply(function(...) return library.bartizan_server_metrics_text(self.server, ...) end)
end

-- Accepts nothing new; what is under way completes within drain_timeout. Then `serve` returns.
function Server:shutdown() library.bartizan_server_shutdown(self.server, -1) end

-- Runs a coroutine of the handler for each request, until a signal, or a call of `shutdown`, and the drain behind it. Once.
function Server:serve(handle)
  local events, n = ffi.new('bartizan_event[?]', BATCH), ffi.new 'size_t[1]'
  local function drain()
    local status = library.bartizan_queue_next(self.queue, events, BATCH, 0, n)
    for i = 0, tonumber(n[0]) - 1 do self:take(events[i], handle) end
    return status == c.E_CLOSED
  end
  loop.run(tonumber(library.bartizan_queue_fd(self.queue)), drain, function() self:shutdown() end)
  library.bartizan_server_wait(self.server, -1)
end

function Server:take(event, handle)
  -- Ids are below 2^53: as numbers they are exact, and keys of tables.
  local id, kind = tonumber(event.request), event.kind
  if kind == c.EV_REQUEST then
    local view = ffi.cast('const bartizan_request_view *', event.data.ptr)
    local request = { id = id, view = view, server = self, waiting = false, over = false, run = coroutine.create(handle) }
    self.requests[id] = setmetatable(request, Request)
    return self:resume(request, request)
  end
  local request = self.requests[id]
  if not request then return end
  if kind == c.EV_CANCELLED then rawset(request, 'reason', ffi.string(library.bartizan_reason_name(event.arg[0]))) end
  if kind == c.EV_DONE then rawset(request, 'over', true) end
  local waiting = request.waiting
  if waiting and (waiting == kind or request.over) then self:resume(request) end
end

-- Whatever becomes of the handler, its request is released: without an answer that is a 500.
function Server:resume(request, ...)
  local went, why = coroutine.resume(request.run, ...)
  if coroutine.status(request.run) ~= 'dead' then return end
  if not went then io.stderr:write('bartizan: ', debug.traceback(request.run, tostring(why)), '\n') end
  self.requests[request.id] = nil
  rawset(request, 'view', nil)
  library.bartizan_request_release(request.id)
end

return { Error = c.Error, start = start, self_signed = self_signed, from_pem = from_pem, after = loop.after }
