-- The smallest server: one address, one answer, and a drain on Ctrl-C.

package.path = arg[0]:match '^(.-)[^/]*$' .. '?.lua;' .. package.path
local bartizan = require 'server'

local identity = bartizan.self_signed('localhost', '127.0.0.1', '::1')
local server = bartizan.start({ { address = arg[1] or '127.0.0.1:8443', identity = identity } }, { handshake_timeout = '10s' })
print('curl --insecure https://' .. server:address(0) .. '/')
io.stdout:flush()

server:serve(function(request) request:respond(200, { { 'content-type', 'text/plain' } }, 'Hello, World!\n') end)
