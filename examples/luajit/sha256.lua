-- SHA-256 (FIPS 180-4), for /inspect of the probe: Lua brings no digest.

local bit = require 'bit'
local band, bnot, bxor, ror, rshift, tobit = bit.band, bit.bnot, bit.bxor, bit.ror, bit.rshift, bit.tobit

local K, INITIAL = {}, {}

-- The constants are the first 32 bits of the fractional parts of roots of the first primes: cube roots of 64, square roots of 8.
do
  local function fraction(root) return tobit(math.floor((root % 1) * 2 ^ 32)) end
  local n = 2
  while #K < 64 do
    local prime = true
    for divisor = 2, math.floor(math.sqrt(n)) do prime = prime and n % divisor ~= 0 end
    if prime then
      if #INITIAL < 8 then INITIAL[#INITIAL + 1] = fraction(math.sqrt(n)) end
      K[#K + 1] = fraction(n ^ (1 / 3))
    end
    n = n + 1
  end
end

local W = {}

local function block(h, text, at)
  for i = 0, 15 do
    local a, b, c, d = text:byte(at + 4 * i, at + 4 * i + 3)
    W[i + 1] = tobit(a * 0x1000000 + b * 0x10000 + c * 0x100 + d)
  end
  for i = 17, 64 do
    local x, y = W[i - 15], W[i - 2]
    local s0 = bxor(ror(x, 7), ror(x, 18), rshift(x, 3))
    local s1 = bxor(ror(y, 17), ror(y, 19), rshift(y, 10))
    W[i] = tobit(W[i - 16] + s0 + W[i - 7] + s1)
  end
  local a, b, c, d, e, f, g, k = h[1], h[2], h[3], h[4], h[5], h[6], h[7], h[8]
  for i = 1, 64 do
    local t1 = k + bxor(ror(e, 6), ror(e, 11), ror(e, 25)) + bxor(band(e, f), band(bnot(e), g)) + K[i] + W[i]
    local t2 = bxor(ror(a, 2), ror(a, 13), ror(a, 22)) + bxor(band(a, b), band(a, c), band(b, c))
    k, g, f, e, d, c, b, a = g, f, e, tobit(d + t1), c, b, a, tobit(t1 + t2)
  end
  for i, v in ipairs { a, b, c, d, e, f, g, k } do h[i] = tobit(h[i] + v) end
end

-- A digest that takes pieces: add(text), hex().
return function()
  local h, rest, length = { unpack(INITIAL) }, '', 0
  local digest = {}

  local function whole_blocks(text)
    for at = 1, #text - 63, 64 do block(h, text, at) end
    return text:sub(#text - #text % 64 + 1)
  end

  function digest.add(text)
    length = length + #text
    rest = whole_blocks(rest .. text)
  end

  function digest.hex()
    local bits, octets = length * 8, {}
    for i = 8, 1, -1 do
      octets[i] = string.char(bits % 256)
      bits = math.floor(bits / 256)
    end
    whole_blocks(rest .. '\128' .. ('\0'):rep((55 - #rest) % 64) .. table.concat(octets))
    local words = {}
    for i, v in ipairs(h) do words[i] = bit.tohex(v) end
    return table.concat(words)
  end

  return digest
end
