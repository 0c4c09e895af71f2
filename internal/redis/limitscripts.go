package redis

// limiting is the arithmetic of package limit, in whole µs and requests·µs, which doubles hold exactly as long as
// limit.MaxBurst and limit.MaxPer bound them.
const limiting = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local function int(n) return string.format('%.0f', n) end

local function bucket_level(key, rate, per, capacity)
  local was, at = string.match(redis.call('GET', key) or '', '^(%d+) (%d+)$')
  if not was then return 0 end
  local elapsed = math.max(now - tonumber(at), 0)
  return math.min(math.max(tonumber(was) - elapsed * rate, 0), capacity * per)
end

local function bucket_keep(key, level, rate)
  redis.call('SET', key, int(level) .. ' ' .. int(now), 'PX', int(math.ceil(level / rate / 1000) + 1))
end

local function log_trim(key, per)
  while true do
    local oldest = redis.call('LINDEX', key, 0)
    if not oldest then return 0 end
    local at = tonumber(oldest)
    if at > now - per and at <= now then return redis.call('LLEN', key) end
    redis.call('LPOP', key)
  end
end

local function log_add(key, per, n)
  for _ = 1, n do redis.call('RPUSH', key, int(now)) end
  redis.call('PEXPIRE', key, int(math.ceil(per / 1000) + 1))
end
`

// KEYS: the asks' buckets. ARGV: for each kind, rate, per, capacity, what must fit, what is taken. Answers {allowed, ask,
// remaining, reset, retry}.
const takeScript = `
local levels, refused = {}, nil
for i = 1, #KEYS do
  local kind, rate, per = ARGV[6 * i - 5], tonumber(ARGV[6 * i - 4]), tonumber(ARGV[6 * i - 3])
  local capacity, fits = tonumber(ARGV[6 * i - 2]), tonumber(ARGV[6 * i - 1])
  local level, retry, remaining, reset = 0, 0, 0, 0
  if kind == 'log' then
    level = log_trim(KEYS[i], per)
    local over = level + fits - capacity
    if over > 0 then
      retry = tonumber(redis.call('LINDEX', KEYS[i], over - 1)) + per - now
      reset = tonumber(redis.call('LINDEX', KEYS[i], -1)) + per - now
      remaining = math.max(capacity - level, 0)
    end
  else
    level = bucket_level(KEYS[i], rate, per, capacity)
    local over = level + (fits - capacity) * per
    if over > 0 then
      retry = math.ceil(over / rate)
      reset = math.ceil(level / rate)
      remaining = math.floor((capacity * per - level) / per)
    end
  end
  if retry > 0 and (not refused or retry > refused[5]) then refused = {0, i, remaining, reset, retry} end
  levels[i] = level
end
if refused then return refused end
local tightest
for i = 1, #KEYS do
  local kind, rate, per = ARGV[6 * i - 5], tonumber(ARGV[6 * i - 4]), tonumber(ARGV[6 * i - 3])
  local capacity, takes = tonumber(ARGV[6 * i - 2]), tonumber(ARGV[6 * i])
  local remaining, reset = 0, 0
  if kind == 'log' then
    log_add(KEYS[i], per, takes)
    remaining = capacity - levels[i] - takes
    local newest = redis.call('LINDEX', KEYS[i], -1)
    if newest then reset = tonumber(newest) + per - now end
  else
    local level = levels[i] + takes * per
    if takes > 0 then bucket_keep(KEYS[i], level, rate) end
    remaining = math.floor((capacity * per - level) / per)
    reset = math.ceil(level / rate)
  end
  if not tightest or remaining < tightest[3] then tightest = {1, i, remaining, reset, 0} end
end
return tightest
`

// KEYS: the buckets. ARGV: for each kind, rate, per, capacity, requests.
const chargeLimitScript = `
for i = 1, #KEYS do
  local kind, rate, per = ARGV[5 * i - 4], tonumber(ARGV[5 * i - 3]), tonumber(ARGV[5 * i - 2])
  local capacity, n = tonumber(ARGV[5 * i - 1]), tonumber(ARGV[5 * i])
  if kind == 'log' then
    log_add(KEYS[i], per, math.max(math.min(n, capacity - log_trim(KEYS[i], per)), 0))
  else
    bucket_keep(KEYS[i], math.min(bucket_level(KEYS[i], rate, per, capacity) + n * per, capacity * per), rate)
  end
end
return 1
`

// KEYS: who is there by when they last said so, the name of this memory. ARGV: who, how long they count in µs.
const joinScript = `
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', now - tonumber(ARGV[2])))
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
local memory = redis.call('GET', KEYS[2])
if not memory then
  memory = string.format('%.0f', now)
  redis.call('SET', KEYS[2], memory)
end
return {redis.call('ZCARD', KEYS[1]), memory}
`
