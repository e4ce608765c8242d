-- The C ABI in LuaJIT is the header itself: its declarations are what ffi.cdef reads and its numbers are read beside them, so
-- nothing is written down twice. Here too: how a failed call becomes a Lua error. What makes it Lua is server.lua.

local ffi = require 'ffi'

local here = debug.getinfo(1, 'S').source:match '^@(.*/)' or './'

-- In this tree, then where the library is installed.
local function open_header()
  for _, folder in ipairs { here .. '../../include/', '/usr/local/include/', '/usr/include/' } do
    local file = io.open(folder .. 'bartizan.h')
    if file then return file end
  end
  error 'bartizan.h is not installed'
end

local file = open_header()
local header = file:read '*a'
file:close()

-- What is for C++, the rest of the preprocessor's lines, and the marker of what is exported.
ffi.cdef((header:gsub('#ifdef __cplusplus.-#endif[^\n]*', ''):gsub('\n%s*#[^\n]*', ''):gsub('BARTIZAN_API', '')))

local binding = { library = ffi.load 'libbartizan.so.0' }

for name, number in header:gmatch '#define BARTIZAN_(%u[%u%d_]*) +%(?(%-?%d+)u?%)?' do
  binding[name] = tonumber(number)
end

-- A call that failed: its status, such as 'E_STATE', and the library's sentence where it has one.
local Error = { __name = 'bartizan.Error' }
Error.__index = Error
binding.Error = Error

function Error:__tostring() return self.message and self.status .. ': ' .. self.message or self.status end

local function fail(status, message)
  local name = ffi.string(binding.library.bartizan_status_name(status))
  error(setmetatable({ status = name, message = message }, Error), 0)
end
binding.fail = fail

-- A status of a call about a request: what is below zero is raised.
function binding.check(status)
  if status < 0 then fail(status) end
  return status
end

-- Calls `call` with where the library says why it failed.
function binding.set_up(call)
  local why = ffi.new 'bartizan_error *[1]'
  local status = call(why)
  if status >= 0 then return end
  local message = ffi.string(binding.library.bartizan_error_message(why[0]))
  binding.library.bartizan_error_free(why[0])
  fail(status, message)
end

-- Asks again with more room while there is too little.
function binding.reply(ask)
  local room, length = 1024, ffi.new 'size_t[1]'
  while true do
    local buffer = ffi.new('char[?]', room)
    local status = ask(buffer, room, length)
    if status ~= binding.E_LIMIT then
      binding.check(status)
      return ffi.string(buffer, length[0])
    end
    room = math.ceil(tonumber(length[0]) * 1.25) + 1
  end
end

function binding.text(str) return ffi.string(str.ptr, str.len) end

-- Fields, pairs of name and value, as C has them. They point into the strings, which the caller keeps.
function binding.lend(fields)
  local lent = ffi.new('bartizan_header[?]', #fields)
  for i, field in ipairs(fields) do
    local at = lent[i - 1]
    at.name.ptr, at.name.len = field[1], #field[1]
    at.value.ptr, at.value.len = field[2], #field[2]
  end
  return lent, #fields
end

function binding.fields(at, count)
  local fields = {}
  for i = 0, tonumber(count) - 1 do
    fields[i + 1] = { binding.text(at[i].name), binding.text(at[i].value) }
  end
  return fields
end

return binding
