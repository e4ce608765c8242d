-- Everything that a Lua program can do wrong with a request, one route each. What went wrong is told on stdout as
-- "WHAT TYPE: MESSAGE"; the suite compares.

package.path = arg[0]:match '^(.-)[^/]*$' .. '../../../examples/luajit/?.lua;' .. package.path
local bartizan = require 'server'

io.stdout:setvbuf 'line'

local function tell(what, call, ...)
  local worked, why = pcall(call, ...)
  local kind = worked and 'nothing' or getmetatable(why) and getmetatable(why).__name or type(why)
  print(('%s %s: %s'):format(what, kind, tostring(why)))
end

local routes = {}

routes['/twice'] = function(request)
  request:respond(200, {}, 'first')
  tell('twice', request.respond, request, 200, {}, 'second')
end

routes['/throw'] = function() error 'thrown on purpose' end

routes['/throw-later'] = function(request)
  request:sleep(10)
  error 'thrown later'
end

routes['/forget'] = function() end

routes['/stale'] = function(request)
  request:respond(200, {}, 'first')
  bartizan.after(50, function()
    tell('stale', request.respond, request, 200, {}, 'second')
    tell('stale-read', function() return request.target end)
  end)
end

routes['/inject'] = function(request)
  tell('inject', request.respond, request, 200, { { 'x-a', 'b\r\nx-injected: c' } }, '')
  request:respond(200, {}, 'well')
end

routes['/behind'] = function(request)
  request:begin(200, {}, 5)
  request:write 'first'
  request:finish()
  tell('behind', request.write, request, 'second')
end

routes['/configure'] = function(request)
  tell('key', bartizan.start, {}, { handshake_timeot = '2s' })
  tell('value', bartizan.start, {}, { handshake_timeout = 'soon' })
  tell('address', bartizan.start, { { address = 'nowhere' } })
  tell('nothing', bartizan.start, {})
  request:respond(200, {}, 'well')
end

routes['/hang'] = function(request) request:gone() end

routes['/exit'] = function() os.exit(7) end

local secured = { address = '127.0.0.1:0', identity = bartizan.self_signed 'localhost' }
local server = bartizan.start { { address = '127.0.0.1:0' }, secured }
print(('listening http://%s\nlistening https://%s\nready'):format(server:address(0), server:address(1)))
local function handle(request)
  local route = routes[request.path] or function() request:respond(200, {}, 'well') end
  route(request)
end
server:serve(handle)

-- Behind the end.
server:shutdown()
server:serve(handle)
print(('ended %s %s'):format(server:address(0), #server:metrics() > 0))
