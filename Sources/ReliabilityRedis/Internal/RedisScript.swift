/// A script that makes one operation of a store in one step on the server.
///
/// A script reads everything before its first write, because the server does not take back the writes of a script that
/// fails. Every key of a script is declared, and all keys of a store are in one slot of a cluster.
struct RedisScript: Sendable {
    let name: String
    let source: [UInt8]
    /// The SHA-1 of the source as hexadecimal digits, by which the server knows the script.
    let digest: [UInt8]

    private init(_ name: String, _ digest: String, flags: String = "", _ parts: String...) {
        self.name = name
        self.digest = Array(digest)
        source = Array("#!lua\(flags.isEmpty ? "" : " flags=\(flags)")\n" + parts.joined())
    }

    // The layout of an entry: version and end in microseconds since 1970 as big-endian integers, then the value. The end
    // 0 means never. The layout of a record's state: version, due time, attempts (4 bytes), kind (0 is due or waits,
    // 1 is leased or held back, 2 is a dead letter), then the reason of a dead letter.

    static let get = RedisScript(
        "get",
        "78fda33c26232f1a2fe2972f9eeab834a0ee2a15",
        flags: "no-writes",
        clock,
        """
        local reply = {now}
        for first = 2, #KEYS, 1000 do
          local values = redis.call('MGET', unpack(KEYS, first, math.min(first + 999, #KEYS)))
          for index = 1, #values do reply[#reply + 1] = values[index] end
        end
        return reply
        """
    )

    /// Writes entries and adds records, or reports the first reason against both.
    static let commit = RedisScript(
        "commit",
        "1b0376c60fd9fc87bc7ca894d18a29e099408f44",
        clock,
        versions,
        entries,
        records,
        commitBody
    )

    /// The same script for commits that need no memory.
    static let commitWithoutGrowth = RedisScript(
        "commitWithoutGrowth",
        "0a7ab77e39151b4e747151d97bf55368e44ebe74",
        flags: "allow-oom",
        clock,
        versions,
        entries,
        records,
        commitBody
    )

    static let update = RedisScript(
        "update",
        "2e75adc1ade1c58618dd8786447fe9d82db8f260",
        clock,
        versions,
        entries,
        integers,
        updateBody
    )

    static let enqueue = RedisScript(
        "enqueue",
        "08fce4fd2851111f15513213fe74d97749fede9a",
        clock,
        versions,
        records,
        """
        local found = find(2, 1)
        local flags = {}
        for index = 1, #found do
          local record = found[index]
          flags[index] = record.flag
          if record.flag == 0 then add(record) end
        end
        keepVersion()
        return {now, flags}
        """
    )

    static let claim = RedisScript(
        "claim",
        "ababdc5510e233ba914e76e32abb8f13e0923df9",
        flags: "allow-oom",
        clock,
        versions,
        """
        local ids = redis.call('ZRANGE', KEYS[2], '-inf', string.format('%.0f', now), 'BYSCORE', 'LIMIT', 0, ARGV[1])
        local reply = {now}
        if #ids == 0 then return reply end
        local states = redis.call('HMGET', KEYS[3], unpack(ids))
        local payloads = redis.call('HMGET', KEYS[4], unpack(ids))
        local due = math.min(now + tonumber(ARGV[2]), 9007199254740991)
        for index = 1, #ids do
          local _, _, attempts, kind = struct.unpack('>I8I8I4B', states[index])
          attempts = math.min(attempts + 1, 4294967295)
          local token = issue()
          redis.call('HSET', KEYS[3], ids[index], struct.pack('>I8I8I4B', token, due, attempts, 1))
          redis.call('ZADD', KEYS[2], string.format('%.0f', due), ids[index])
          reply[#reply + 1] = {ids[index], token, attempts, kind, payloads[index]}
        end
        keepVersion()
        return reply
        """
    )

    static let settle = RedisScript(
        "settle",
        "5ab2b567a540b9891210181713c89bb7da37467a",
        flags: "allow-oom",
        clock,
        versions,
        """
        local found = {}
        for index = 1, #ARGV / 6 do
          local at = 6 * index - 5
          local queue = 2 + 5 * tonumber(ARGV[at])
          local id, action = ARGV[at + 1], ARGV[at + 3]
          local state = redis.call('HGET', KEYS[queue + 1], id)
          if state then
            local version, due, attempts, kind = struct.unpack('>I8I8I4B', state)
            local fits = action == 'done' or (kind == 2) == (action == 'redrive')
            if string.format('%.0f', version) == ARGV[at + 2] and fits then
              found[index] = {queue = queue, id = id, action = action, version = version, attempts = attempts,
                kind = kind, wait = tonumber(ARGV[at + 4]), text = ARGV[at + 5]}
            end
          end
        end
        local reply = {now}
        for index = 1, #ARGV / 6 do
          local record = found[index]
          reply[index + 1] = record and 1 or 0
          if record then
            local queue, id, action, kind = record.queue, record.id, record.action, record.kind
            local due = math.min(now + record.wait, 9007199254740991)
            if action == 'done' then
              redis.call('HDEL', KEYS[queue + 1], id)
              redis.call('HDEL', KEYS[queue + 2], id)
              redis.call('ZREM', KEYS[queue], id)
              redis.call('ZREM', KEYS[queue + (kind == 2 and 4 or 3)], id)
            else
              local version, attempts, reason = record.version, record.attempts, ''
              if action == 'extend' then
                kind = record.kind
              else
                version = issue()
                kind = 0
              end
              if action == 'retry' and record.text == '0' or action == 'hold' then attempts = math.max(0, attempts - 1) end
              if action == 'hold' then kind = 1 end
              if action == 'dead' then kind, reason = 2, record.text end
              if action == 'redrive' then attempts = 0 end
              redis.call('HSET', KEYS[queue + 1], id, struct.pack('>I8I8I4B', version, due, attempts, kind) .. reason)
              if action == 'dead' then
                redis.call('ZREM', KEYS[queue], id)
                redis.call('ZREM', KEYS[queue + 3], id)
                redis.call('ZADD', KEYS[queue + 4], 0, id)
              else
                redis.call('ZADD', KEYS[queue], string.format('%.0f', due), id)
              end
              if action == 'redrive' then
                redis.call('ZREM', KEYS[queue + 4], id)
                redis.call('ZADD', KEYS[queue + 3], 0, id)
              end
            end
          end
        end
        keepVersion()
        return reply
        """
    )

    /// Reads the first due time and the numbers of records at a single point in time.
    static let queue = RedisScript(
        "queue",
        "4d43d210dcd3045be6a795fab2b504bbf66a227d",
        flags: "no-writes",
        clock,
        """
        local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
        return {now, first[2] or false, redis.call('ZCARD', KEYS[3]), redis.call('ZCARD', KEYS[4])}
        """
    )

    static let page = RedisScript(
        "page",
        "6eec3c2225c235dc8167f80a223dc8a9ed009636",
        flags: "no-writes",
        clock,
        """
        local ids = redis.call('ZRANGE', KEYS[4], ARGV[1], '+', 'BYLEX', 'LIMIT', 0, tonumber(ARGV[2]) + 1)
        local reply, bytes = {now, 0}, 0
        for index = 1, #ids do
          if index > tonumber(ARGV[2]) or bytes >= tonumber(ARGV[3]) then
            reply[2] = 1
            break
          end
          local payload = redis.call('HGET', KEYS[3], ids[index])
          bytes = bytes + #payload
          reply[#reply + 1] = {ids[index], redis.call('HGET', KEYS[2], ids[index]), payload}
        end
        return reply
        """
    )

    /// Removes keys without an entry from the index, and returns the number of keys.
    static let prune = RedisScript(
        "prune",
        "503d817737df6144380389270af88e9c92611086",
        flags: "allow-oom",
        """
        local removed = 0
        for index = 2, #KEYS do
          if redis.call('EXISTS', KEYS[index]) == 0 then
            removed = removed + redis.call('ZREM', KEYS[1], ARGV[index - 1])
          end
        end
        return removed
        """
    )

    /// Uses each command of the other scripts once, on a key that is deleted.
    static let probe = RedisScript(
        "probe",
        "",
        flags: "allow-oom",
        """
        local key = KEYS[1]
        redis.call('TIME')
        redis.call('DEL', key)
        redis.call('SET', key, '0')
        redis.call('GET', key)
        redis.call('MGET', key)
        redis.call('SETRANGE', key, 0, '1')
        redis.call('PEXPIREAT', key, '32503680000000')
        redis.call('PERSIST', key)
        redis.call('EXISTS', key)
        redis.call('DEL', key)
        redis.call('HSET', key, 'a', 'b')
        redis.call('HGET', key, 'a')
        redis.call('HMGET', key, 'a')
        redis.call('HDEL', key, 'a')
        redis.call('ZADD', key, 0, 'a')
        redis.call('ZRANGE', key, 0, 0)
        redis.call('ZCARD', key)
        redis.call('ZREM', key, 'a')
        return 1
        """
    )

    static let all = [get, commit, commitWithoutGrowth, update, enqueue, claim, settle, queue, page, prune]

    // MARK: Parts

    /// The time in microseconds since 1970, which does not go back by less than a second.
    ///
    /// KEYS[1] is the last version, which is also the latest time of a write.
    private static let clock = """
        local time = redis.call('TIME')
        local now = time[1] * 1000000 + time[2]
        local last = tonumber(redis.call('GET', KEYS[1]) or '0')
        if last > now and last - now < 1000000 then now = last end

        """

    /// Versions follow the clock, so a server that lost its content issues no version twice.
    private static let versions = """
        local version = last
        local function issue()
          if version < now then version = now else version = version + 1 end
          return version
        end
        local function keepVersion()
          if version ~= last then redis.call('SET', KEYS[1], string.format('%.0f', version)) end
        end

        """

    private static let entries = """
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

    /// Records in the arguments: the number of the queue, the identity, the payload and the delay of each.
    ///
    /// The keys of a queue are those of its due times, states, payloads, pending records and dead letters.
    private static let records = """
        local function find(firstKey, firstArgument)
          local found, seen = {}, {}
          for at = firstArgument, #ARGV, 4 do
            local queue = firstKey + 5 * tonumber(ARGV[at])
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
    private static let commitBody = """
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
    private static let integers = """
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
    private static let updateBody = """
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
