// The parts that several scripts share.

extension RedisScript {
    /// The time in microseconds since 1970, which does not go back by less than a second.
    ///
    /// KEYS[1] is the last version, which is also the latest time of a write.
    static let clock = """
        local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        local last = tonumber(redis.call('GET', KEYS[1]) or '0')
        if last > now and last - now < 1000000 then now = last end

        """

    /// Versions follow the clock, so a server that lost its content issues no version twice.
    static let versions = """
        local version = last
        local function issue()
          if version < now then version = now else version = version + 1 end
          return version
        end
        local function keepVersion()
          if version ~= last then redis.call('SET', KEYS[1], string.format('%.0f', version)) end
        end

        """

    /// Entries and their index, KEYS[2].
    ///
    /// The first line fails on an index of another type.
    static let entries = """
        redis.call('ZCARD', KEYS[2])
        local function live(raw)
          if not raw then return nil end
          local entryVersion, stop = struct.unpack('>I8I8', raw)
          if stop ~= 0 and stop <= now then return nil end
          return entryVersion, stop
        end
        local function put(key, member, stop, value)
          local header = struct.pack('>I8I8', version, stop)
          if stop == 0 then
            redis.call('SET', key, header .. value)
          else
            redis.call('SET', key, header .. value, 'PXAT', string.format('%.0f', math.floor(stop / 1000) + 1))
          end
          if member ~= '' then redis.call('ZADD', KEYS[2], 0, member) end
        end

        """

    /// Fails on a key of a queue with content of another type.
    static let queues = """
        local function checkTypes(queue)
          redis.call('ZCARD', KEYS[queue])
          redis.call('HGET', KEYS[queue + 1], '')
          redis.call('HGET', KEYS[queue + 2], '')
          redis.call('ZCARD', KEYS[queue + 3])
          redis.call('ZCARD', KEYS[queue + 4])
        end

        """

    /// Records in the arguments: the number of the queue, the identity, the payload and the delay of each.
    ///
    /// The keys of a queue are those of its due times, states, payloads, pending records and dead letters.
    static let records = """
        local function find(firstKey, firstArgument)
          local found, seen, checked = {}, {}, {}
          for at = firstArgument, #ARGV, 4 do
            local queue = firstKey + 5 * tonumber(ARGV[at])
            if not checked[queue] then
              checkTypes(queue)
              checked[queue] = true
            end
            local id, payload = ARGV[at + 1], ARGV[at + 2]
            local flag = 0
            local state = redis.call('HGET', KEYS[queue + 1], id)
            local name = queue .. ':' .. id
            if state then
              if struct.unpack('B', state, 21) == 2 then flag = 3
              elseif redis.call('HGET', KEYS[queue + 2], id) == payload then flag = 1
              else flag = 2 end
            elseif seen[name] then
              flag = seen[name] == payload and 1 or 2
            else
              seen[name] = payload
            end
            found[#found + 1] = {queue = queue, id = id, payload = payload, delay = tonumber(ARGV[at + 3]), flag = flag}
          end
          return found
        end
        local function add(record)
          local queue = record.queue
          local recordVersion = issue()
          -- Versions of due records are in order. After a clock that was ahead, versions are ahead of the time.
          local base = recordVersion - now < 1000000 and recordVersion or now
          local due = math.min(base + record.delay, 9007199254740991)
          redis.call('HSET', KEYS[queue + 1], record.id, struct.pack('>I8I8I4B', recordVersion, due, 0, 0))
          redis.call('HSET', KEYS[queue + 2], record.id, record.payload)
          redis.call('ZADD', KEYS[queue], string.format('%.0f', due), record.id)
          redis.call('ZADD', KEYS[queue + 3], 0, record.id)
        end

        """

    /// The arguments: the number of writes, for each write its kind, condition, version, expiry, value and member of the
    /// index, and then the records.
    static let commitBody = """
        local count = tonumber(ARGV[1])
        local olds = {}
        for index = 1, count do
          local at = 6 * index - 4
          local raw = redis.call('GET', KEYS[index + 2])
          local entryVersion, stop = live(raw)
          local condition = ARGV[at + 1]
          local holds = condition == 'any' or condition == 'absent' and not entryVersion
            or condition == 'present' and entryVersion ~= nil
            or condition == 'version' and entryVersion ~= nil and string.format('%.0f', entryVersion) == ARGV[at + 2]
          if not holds then return {0, now, index - 1, entryVersion and raw or false} end
          olds[index] = {version = entryVersion, stop = stop}
        end
        local found = find(count + 3, 6 * count + 2)
        for index = 1, #found do
          if found[index].flag > 1 then return {2, now, index - 1, found[index].flag} end
        end
        local results = {}
        for index = 1, count do
          local at = 6 * index - 4
          local key, kind, expiry, member = KEYS[index + 2], ARGV[at], ARGV[at + 3], ARGV[at + 5]
          local old = olds[index]
          local stop = 0
          if expiry == 'keep' then stop = old.stop or 0
          elseif expiry ~= 'never' then stop = math.min(now + tonumber(expiry), 9007199254740991) end
          results[index] = old.version or false
          if kind == 'put' then
            results[index] = issue()
            put(key, member, stop, ARGV[at + 4])
          elseif kind == 'delete' then
            results[index] = false
            redis.call('DEL', key)
            if member ~= '' then redis.call('ZREM', KEYS[2], member) end
          elseif kind == 'touch' and old.version then
            redis.call('SETRANGE', key, 8, struct.pack('>I8', stop))
            if stop == 0 then redis.call('PERSIST', key)
            else redis.call('PEXPIREAT', key, string.format('%.0f', math.floor(stop / 1000) + 1)) end
          end
        end
        local flags = {}
        for index = 1, #found do
          flags[index] = found[index].flag
          if found[index].flag == 0 then add(found[index]) end
        end
        keepVersion()
        return {1, now, results, flags}
        """

    /// Signed 64-bit integers as two words, because a number of Lua has only 53 exact bits.
    static let integers = """
        local W = 4294967296
        local function saturated(h, l)
          if h > 2147483647 then return 2147483647, W - 1 end
          if h < -2147483648 then return -2147483648, 0 end
          return h, l
        end
        local function overflows(h) return h > 2147483647 or h < -2147483648 end
        local function plus(ah, al, bh, bl)
          local l = al + bl
          if l >= W then return ah + bh + 1, l - W end
          return ah + bh, l
        end
        local function minus(ah, al, bh, bl)
          local l = al - bl
          if l < 0 then return ah - bh - 1, l + W end
          return ah - bh, l
        end
        local function less(ah, al, bh, bl) return ah < bh or ah == bh and al < bl end
        local function words(microseconds)
          local high = math.floor(microseconds / W)
          local low = (microseconds - high * W) * 1000
          return high * 1000 + math.floor(low / W), low % W
        end
        local function microsecondsUp(h, l)
          local rest = h % 1000 * W + l
          local value = math.floor(h / 1000) * W + math.ceil(rest / 1000)
          return math.min(value, 9007199254740991)
        end

        """

    /// The arguments: for each update its kind, a string of constants and the member of the index.
    ///
    /// The constants of `add` and `window` are the amount, the smallest and the largest sum, and the length. The
    /// constants of `gcra` are the capacity, the need and, as the third number, 1 if the need can never be met. The
    /// client computes the decision again from the state that was found.
    static let updateBody = """
        local nh, nl = words(now)
        local steps, applied = {}, true
        for index = 1, #ARGV / 3 do
          local kind, constants = ARGV[3 * index - 2], ARGV[3 * index - 1]
          local raw = redis.call('GET', KEYS[index + 2])
          local state = false
          if live(raw) and #raw == 33 and string.byte(raw, 17) == (kind == 'add' and 1 or kind == 'gcra' and 2 or 3) then
            state = string.sub(raw, 17)
          end
          local ch, cl, eh, el
          if state then ch, cl, eh, el = struct.unpack('>i4I4i4I4', state, 2) end
          local step = {state = state, tag = kind == 'add' and 1 or kind == 'gcra' and 2 or 3, allowed = false}
          if kind == 'gcra' then
            local fh, fl, xh, xl, _, never = struct.unpack('>i4I4i4I4i4I4', constants)
            local rh, rl = minus(2147483647, W - 1, nh, nl)
            if less(rh, rl, fh, fl) then fh, fl = rh, rl end
            local ah, al = nh, nl
            if state then
              local mh, ml = saturated(plus(nh, nl, fh, fl))
              ah, al = eh, el
              if less(ah, al, nh, nl) then ah, al = nh, nl end
              if less(mh, ml, ah, al) then
                ah, al = mh, ml
                step.value = struct.pack('>i4I4i4I4', 0, 0, ah, al)
              end
            end
            local uh, ul = minus(ah, al, nh, nl)
            local gh, gl = minus(fh, fl, uh, ul)
            if never == 0 and not less(gh, gl, xh, xl) then
              step.allowed = true
              ah, al = saturated(plus(ah, al, xh, xl))
              step.value = struct.pack('>i4I4i4I4', 0, 0, ah, al)
            end
            step.eh, step.el = ah, al
          else
            local mh, ml, ih, il, jh, jl, lh, ll = struct.unpack('>i4I4i4I4i4I4i4I4', constants)
            local sh, sl = saturated(plus(nh, nl, lh, ll))
            local counth, countl = 0, 0
            if state and less(nh, nl, eh, el) then
              counth, countl = ch, cl
              if kind == 'window' and counth < 0 then counth, countl = 0, 0 end
              if less(sh, sl, eh, el) then
                step.value = struct.pack('>i4I4i4I4', counth, countl, sh, sl)
              else
                sh, sl = eh, el
              end
            end
            local th, tl = plus(counth, countl, mh, ml)
            if not overflows(th) and not less(th, tl, ih, il) and not less(jh, jl, th, tl) then
              step.allowed = true
              step.value = struct.pack('>i4I4i4I4', th, tl, sh, sl)
            end
            step.eh, step.el = sh, sl
          end
          local oh, ol = plus(nh, nl, 0, 1)
          if less(step.eh, step.el, oh, ol) then step.eh, step.el = oh, ol end
          steps[index] = step
          applied = applied and step.allowed
        end
        local reply = {applied and 1 or 0, now}
        for index = 1, #steps do
          local step = steps[index]
          reply[index + 2] = step.state
          if step.value and step.allowed == applied then
            issue()
            put(KEYS[index + 2], ARGV[3 * index], microsecondsUp(step.eh, step.el), string.char(step.tag) .. step.value)
          end
        end
        keepVersion()
        return reply
        """
}
