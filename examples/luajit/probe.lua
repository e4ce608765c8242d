-- The routes of the probe contract that show a queue: whole answers, streams both ways, time, cancellation.

package.path = arg[0]:match '^(.-)[^/]*$' .. '?.lua;' .. package.path
local bartizan = require 'server'
local sha256 = require 'sha256'

local HELLO = 'Hello, World!'
local PIECE = ('\0'):rep(64 * 1024)

local function typed(value) return { { 'content-type', value } } end
local TEXT, OCTETS = typed 'text/plain', typed 'application/octet-stream'

-- ---- JSON: octets are shown as the characters of Latin-1 ----

local function quoted(text)
  return '"' .. text:gsub('[%c"\\\128-\255]', function(octet) return ('\\u%04x'):format(octet:byte()) end) .. '"'
end

local function list(items)
  return '[' .. table.concat(items, ',') .. ']'
end

local function object(members)
  local shown = {}
  for key, value in pairs(members) do shown[#shown + 1] = quoted(key) .. ':' .. value end
  return '{' .. table.concat(shown, ',') .. '}'
end

local function pairs_of(fields)
  local shown = {}
  for i, field in ipairs(fields) do shown[i] = list { quoted(field[1]), quoted(field[2]) } end
  return list(shown)
end

local function tls_record(tls)
  if not tls then return 'null' end
  local shown = { server_name = 'null', alpn = 'null' }
  for key, value in pairs(tls) do shown[key] = type(value) == 'string' and quoted(value) or tostring(value) end
  return object(shown)
end

-- ---- values of the target ----

-- Says 400 and ends the handler.
local BadValue = {}
local function refuse(value, why) error(setmetatable({ why = value .. ': ' .. why .. '\n' }, BadValue), 0) end

local function number(text, most)
  local value = text:match '^%d+$' and tonumber(text)
  if not value or value > most then refuse(text, ('not a number from 0 to %.0f'):format(most)) end
  return value
end

-- KEY=TEXT of the query sets a limit of this request.
local function set_limits(request)
  for piece in request.query:gmatch '[^&]+' do
    local key, value = piece:match '^([^=]*)=(.*)$'
    if not key then refuse(piece, 'not KEY=TEXT') end
    local set, why = pcall(request.set, request, key, value)
    if not set then refuse(piece, tostring(why)) end
  end
end

-- ---- routes ----

local function inspect(request)
  local digest, length = sha256(), 0
  for piece in request.read, request do
    digest.add(piece)
    length = length + #piece
  end
  local seen = {
    http = quoted(({ [10] = '1.0', [11] = '1.1', [20] = '2' })[request.http_version]),
    headers = pairs_of(request:fields()),
    trailers = pairs_of(request:trailers()),
    body = object { length = ('%.0f'):format(length), sha256 = quoted(digest.hex()) },
    peer = quoted(request:peer()),
    ['local'] = quoted(request:from()),
    listener = request.listener,
    conn = ('%.0f'):format(request.connection),
    tls = tls_record(request:tls()),
  }
  for _, name in ipairs { 'method', 'scheme', 'authority', 'target', 'path', 'query' } do seen[name] = quoted(request[name]) end
  request:respond(200, typed 'application/json', object(seen))
end

local function echo(request)
  -- The answer begins with the first content, not before: until then a 408 or 413 can still be sent.
  local piece = request:read()
  request:begin(200, OCTETS, request.content_length)
  while piece do
    request:write(piece)
    piece = request:read()
  end
  request:finish()
end

local function zeros(request, count)
  request:begin(200, OCTETS, count)
  while count > 0 do count = count - request:write(count < #PIECE and PIECE:sub(1, count) or PIECE) end
  request:finish()
end

local server

local function route(request)
  local path, get = request.path, request.method == 'GET' or request.method == 'HEAD'
  local stem, argument = path:match '^(/%a+/)(.*)$'
  if path == '/' and get then
    request:respond(200, TEXT, HELLO)
  elseif path == '/inspect' then
    inspect(request)
  elseif path == '/echo' then
    echo(request)
  elseif stem == '/bytes/' and get then
    local count = number(argument, 2 ^ 53 - 1)
    set_limits(request)
    zeros(request, count)
  elseif stem == '/wait/' and get then
    request:sleep(number(argument, 2 ^ 31 - 1))
    request:respond(200, TEXT, HELLO)
  elseif path == '/hang' and get then
    request:gone()
  elseif path == '/metrics' and get then
    request:respond(200, typed 'application/openmetrics-text; version=1.0.0; charset=utf-8', server:metrics())
  else
    request:respond(404, TEXT, 'not found\n')
  end
end

local function handle(request)
  local answered, why = pcall(route, request)
  if answered then return end
  if getmetatable(why) == BadValue then
    request:respond(400, TEXT, why.why)
  elseif getmetatable(why) ~= bartizan.Error or why.status ~= 'E_CANCELLED' then
    -- When the exchange is over, the library has said why.
    error(why, 0)
  end
end

-- ---- the command line ----

local function wrong(why)
  io.stderr:write('probe: ', (tostring(why):gsub('%s+', ' ')), '\n')
  os.exit(2)
end

local function parse()
  local listeners, settings, i = {}, {}, 1
  local function value()
    i = i + 1
    return arg[i] or wrong(arg[i - 1] .. ': a value is missing')
  end
  while arg[i] do
    local option, last = arg[i], listeners[#listeners]
    if option == '--set' then
      local pair = value()
      local key, text = pair:match '^([^=]*)=(.*)$'
      if not key then wrong('--set ' .. pair .. ': expected KEY=TEXT') end
      settings[key] = text
    elseif option == '--listen' then
      listeners[#listeners + 1] = { address = value() }
    elseif last and option == '--plaintext' then
      last.names = nil
    elseif last and option:match '^%-%-self%-signed' then
      last.names = option:match '=(.*)$' or 'localhost,127.0.0.1,::1'
    else
      wrong(option .. ': unknown, or without a --listen before it')
    end
    i = i + 1
  end
  if not listeners[1] then wrong '--listen is missing' end
  return listeners, settings
end

local listeners, settings = parse()
local started, why = pcall(function()
  for _, listener in ipairs(listeners) do
    listener.identity = listener.names and bartizan.self_signed(listener.names)
  end
  server = bartizan.start(listeners, settings)
end)
if not started then wrong(why) end
for i, listener in ipairs(listeners) do
  print(('listening %s://%s'):format(listener.identity and 'https' or 'http', server:address(i - 1)))
end
print 'ready'
io.stdout:flush()
server:serve(handle)
