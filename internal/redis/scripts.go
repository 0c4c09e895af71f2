package redis

import "github.com/redis/go-redis/v9"

// scripts are Redis' part of the Meter. Each runs atomically, by the server's clock, in milliseconds.
//
// A window is a hash: the number of a slot → what was counted in it. A period is a hash {spent, held} and a sorted set of its
// open reservations, "id:amount" by when they end by themselves. Amounts are formatted by hand: Lua would write large ones with
// an exponent.
type scripts struct {
	reserve, settle, charge, raise, used, pause *redis.Script
}

func newScripts() scripts {
	return scripts{
		reserve: redis.NewScript(counting + reserveScript),
		settle:  redis.NewScript(counting + settleScript),
		charge:  redis.NewScript(counting + chargeScript),
		raise:   redis.NewScript(counting + raiseScript),
		used:    redis.NewScript(counting + usedScript),
		pause:   redis.NewScript(pauseScript),
	}
}

const counting = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local SLOTS = 60

local function int(n) return string.format('%.0f', n) end

local function window_used(key, width)
  local first, all = math.floor(now / width) - SLOTS, redis.call('HGETALL', key)
  local used, live = 0, {}
  for i = 1, #all, 2 do
    local slot, count = tonumber(all[i]), tonumber(all[i + 1])
    if slot < first then
      redis.call('HDEL', key, all[i])
    else
      used = used + count
      live[#live + 1] = {slot, count}
    end
  end
  return used, live
end

local function window_add(key, width, at, n)
  local slot = math.floor(at / width)
  if n == 0 or slot < math.floor(now / width) - SLOTS then return end
  -- at is known to a moment only, and what a correction takes back may have been counted in the slot beside it
  for _, near in ipairs(n > 0 and {slot} or {slot, slot - 1, slot + 1}) do
    local had = tonumber(redis.call('HGET', key, int(near)) or '0')
    local left = math.max(had + n, 0)
    if left == 0 then
      redis.call('HDEL', key, int(near))
    else
      redis.call('HSET', key, int(near), int(left))
    end
    n = n + had - left
    if n == 0 then break end
  end
  redis.call('PEXPIRE', key, int(width * (SLOTS + 2)))
end

local function window_fits_at(live, width, used, amount, limit)
  table.sort(live, function(a, b) return a[1] < b[1] end)
  local last = math.floor(now / width)
  for _, s in ipairs(live) do
    used, last = used - s[2], s[1]
    if used + amount <= limit then break end
  end
  return (last + SLOTS + 1) * width
end

local function period_add(key, field, n)
  local had = tonumber(redis.call('HGET', key, field) or '0')
  redis.call('HSET', key, field, int(math.max(had + n, 0)))
end

local function period_keep(key, open, till)
  redis.call('PEXPIREAT', key, int(math.max(till, now) + 3600000))
  if open then redis.call('PEXPIREAT', open, int(math.max(till, now) + 3600000)) end
end

local function period_used(key, open)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', open, '-inf', int(now), 'LIMIT', 0, 100)) do
    redis.call('ZREM', open, member)
    period_add(key, 'held', -tonumber(string.match(member, ':(%d+)$')))
  end
  local counts = redis.call('HMGET', key, 'spent', 'held')
  return tonumber(counts[1] or '0'), tonumber(counts[2] or '0')
end

local function once(key, ttl)
  return redis.call('SET', key, '1', 'NX', 'PX', ttl)
end
`

// KEYS: for each claim its count, its open reservations, its pause. ARGV: id, ttl, guess, then for each claim width (0: a
// period), limit, amount, until. Answers {0, now, used …}, or {claim, now, until, paused, held, used} when one is refused.
const reserveScript = `
local id, ttl, guess = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local n, used_after, worst = #KEYS / 3, {}, nil
for i = 1, n do
  local count, open, pause = KEYS[3 * i - 2], KEYS[3 * i - 1], KEYS[3 * i]
  local width, limit = tonumber(ARGV[4 * i]), tonumber(ARGV[4 * i + 1])
  local amount, till = tonumber(ARGV[4 * i + 2]), tonumber(ARGV[4 * i + 3])
  local stop = tonumber(redis.call('GET', pause) or '0')
  local used, refused = 0, nil
  if width > 0 then
    local live
    used, live = window_used(count, width)
    if used + amount > limit then
      refused = {i, now, window_fits_at(live, width, used, amount, limit), 0, 0, used}
    end
  else
    local spent, held = period_used(count, open)
    used = spent + held
    if used + amount > limit then
      if held > 0 and spent + amount <= limit then
        refused = {i, now, now + guess, 0, 1, used}
      else
        refused = {i, now, till, 0, 0, used}
      end
    end
  end
  if stop > now then refused = {i, now, stop, 1, 0, used} end
  if refused and (not worst or refused[3] > worst[3]) then worst = refused end
  used_after[i] = used + amount
end
if worst then return worst end
for i = 1, n do
  local count, open = KEYS[3 * i - 2], KEYS[3 * i - 1]
  local width, amount, till = tonumber(ARGV[4 * i]), tonumber(ARGV[4 * i + 2]), tonumber(ARGV[4 * i + 3])
  if width > 0 then
    window_add(count, width, now, amount)
  else
    redis.call('ZADD', open, int(now + ttl), id .. ':' .. int(amount))
    period_add(count, 'held', amount)
    period_keep(count, open, math.max(till, now + ttl))
  end
end
local answer = {0, now}
for i = 1, n do answer[i + 2] = used_after[i] end
return answer
`

// KEYS: the mark, then for each claim its count and its open reservations. ARGV: id, when it was reserved, how long to keep the
// mark, then for each claim width, amount, actual, until.
const settleScript = `
if not once(KEYS[1], ARGV[3]) then return 0 end
local id, at = ARGV[1], tonumber(ARGV[2])
for i = 1, (#KEYS - 1) / 2 do
  local count, open = KEYS[2 * i], KEYS[2 * i + 1]
  local width, amount = tonumber(ARGV[4 * i]), tonumber(ARGV[4 * i + 1])
  local actual, till = tonumber(ARGV[4 * i + 2]), tonumber(ARGV[4 * i + 3])
  if width > 0 then
    window_add(count, width, at, actual - amount)
  else
    if redis.call('ZREM', open, id .. ':' .. int(amount)) == 1 then period_add(count, 'held', -amount) end
    period_add(count, 'spent', actual)
    period_keep(count, nil, till)
  end
end
return 1
`

// KEYS: the mark, then the counts. ARGV: how long to keep the mark, then for each count width, amount, age, until.
const chargeScript = `
if not once(KEYS[1], ARGV[1]) then return 0 end
for i = 1, #KEYS - 1 do
  local count = KEYS[i + 1]
  local width, amount = tonumber(ARGV[4 * i - 2]), tonumber(ARGV[4 * i - 1])
  local age, till = tonumber(ARGV[4 * i]), tonumber(ARGV[4 * i + 1])
  if width > 0 then
    window_add(count, width, now - age, amount)
  else
    period_add(count, 'spent', amount)
    period_keep(count, nil, till)
  end
end
return 1
`

// KEYS: the count. ARGV: until, used.
const raiseScript = `
local spent = tonumber(redis.call('HGET', KEYS[1], 'spent') or '0')
if tonumber(ARGV[2]) > spent then redis.call('HSET', KEYS[1], 'spent', ARGV[2]) end
period_keep(KEYS[1], nil, tonumber(ARGV[1]))
return 1
`

// KEYS: for each claim its count and its open reservations. ARGV: for each claim width. Answers what is used of each.
const usedScript = `
local answer = {}
for i = 1, #KEYS / 2 do
  local width = tonumber(ARGV[i])
  if width > 0 then
    answer[i] = (window_used(KEYS[2 * i - 1], width))
  else
    local spent, held = period_used(KEYS[2 * i - 1], KEYS[2 * i])
    answer[i] = spent + held
  end
end
return answer
`

// KEYS: the pause. ARGV: how long; -1 only asks. Answers {now, until}, until 0 when there is no pause.
const pauseScript = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local stop, wish = tonumber(redis.call('GET', KEYS[1]) or '0'), tonumber(ARGV[1])
if wish > 0 and now + wish > stop then
  stop = now + wish
  redis.call('SET', KEYS[1], string.format('%.0f', stop), 'PX', ARGV[1])
end
if stop <= now then stop = 0 end
return {now, stop}
`
