-- What a single thread waits for, by poll: a descriptor, SIGINT and SIGTERM, and the time. It knows nothing of servers.

local ffi = require 'ffi'

ffi.cdef [[
struct pollfd { int fd; short events, revents; };
typedef struct { unsigned long words[16]; } sigset_t;
struct timespec { long seconds, nanoseconds; };
int poll(struct pollfd *, unsigned long, int);
int sigemptyset(sigset_t *);
int sigaddset(sigset_t *, int);
int sigprocmask(int, const sigset_t *, sigset_t *);
int signalfd(int, const sigset_t *, int);
int clock_gettime(int, struct timespec *);
long read(int, void *, size_t);
int close(int);
]]

local POLLIN, SIG_BLOCK, SIG_UNBLOCK, SIGINT, SIGTERM, MONOTONIC = 1, 0, 1, 2, 15, 1

local loop = {}
local timers = {}

local function now()
  local time = ffi.new 'struct timespec'
  ffi.C.clock_gettime(MONOTONIC, time)
  return tonumber(time.seconds) * 1000 + tonumber(time.nanoseconds) / 1e6
end

-- Calls `fn` after so many milliseconds.
function loop.after(ms, fn)
  local at, due = #timers + 1, now() + ms
  while at > 1 and timers[at - 1].due > due do at = at - 1 end
  table.insert(timers, at, { due = due, fn = fn })
end

local function run_due()
  while timers[1] and timers[1].due <= now() do table.remove(timers, 1).fn() end
end

local function patience()
  if not timers[1] then return -1 end
  return math.max(0, math.min(math.ceil(timers[1].due - now()), 0x7fffffff))
end

-- Calls `ready` while the descriptor is readable, until it returns true; and `stop` at the first signal, after which the next
-- one ends the process.
function loop.run(descriptor, ready, stop)
  local signals = ffi.new 'sigset_t'
  ffi.C.sigemptyset(signals)
  ffi.C.sigaddset(signals, SIGINT)
  ffi.C.sigaddset(signals, SIGTERM)
  ffi.C.sigprocmask(SIG_BLOCK, signals, nil)
  local polled = ffi.new('struct pollfd[2]', { { descriptor, POLLIN, 0 }, { ffi.C.signalfd(-1, signals, 0), POLLIN, 0 } })
  repeat
    ffi.C.poll(polled, 2, patience())
    if polled[1].revents ~= 0 then
      -- The signal is pending still: unblocked unread, it would be delivered now.
      local taken = ffi.new 'char[128]'
      ffi.C.read(polled[1].fd, taken, 128)
      ffi.C.close(polled[1].fd)
      polled[1].fd, polled[1].revents = -1, 0
      ffi.C.sigprocmask(SIG_UNBLOCK, signals, nil)
      stop()
    end
    local ended = polled[0].revents ~= 0 and ready()
    run_due()
  until ended
  if polled[1].fd >= 0 then ffi.C.close(polled[1].fd) end
end

return loop
