/// A script that makes one operation of a store in one step on the server.
///
/// A script checks the type of every key before its first write, because the server does not take back the writes of a script that
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

    /// Reads entries until the entries have a number of bytes.
    static let getPage = RedisScript(
        "getPage",
        "ad0795fbe49086d04d9a0e90b46b14df9c7af768",
        flags: "no-writes",
        clock,
        """
        local reply, bytes = {now}, 0
        for index = 2, #KEYS do
          if bytes >= tonumber(ARGV[1]) then break end
          local value = redis.call('MGET', KEYS[index])[1]
          if value then bytes = bytes + #value end
          reply[#reply + 1] = value
        end
        return reply
        """
    )

    /// Writes entries and adds records, or reports the first reason against both.
    static let commit = RedisScript(
        "commit",
        "5911fc95f430a06063c0e26c78b3738e49f60f12",
        clock,
        versions,
        entries,
        queues,
        records,
        commitBody
    )

    /// The same script for commits that need no memory.
    static let commitWithoutGrowth = RedisScript(
        "commitWithoutGrowth",
        "ed074c3acdb656a7effb1b67c1345f29c0f2cbc3",
        flags: "allow-oom",
        clock,
        versions,
        entries,
        queues,
        records,
        commitBody
    )

    static let update = RedisScript(
        "update",
        "b0753d74aa9a95caa7a54b35bac30ac1006f7341",
        clock,
        versions,
        entries,
        integers,
        updateBody
    )

    static let enqueue = RedisScript(
        "enqueue",
        "aa4b537f646d407e4dc9052c168cd07e74468dd0",
        clock,
        versions,
        queues,
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
        "16b5d87f594cdb782749b7b3340941515986d16d",
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
        local counts, kinds = {}, {}
        for index = 1, #ids do
          local _, _, attempts, kind = struct.unpack('>I8I8I4B', states[index])
          counts[index], kinds[index] = math.min(attempts + 1, 4294967295), kind
        end
        for index = 1, #ids do
          local attempts, kind = counts[index], kinds[index]
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
        "0cf84054fdc6726b21f95c06138a237e413115eb",
        flags: "allow-oom",
        clock,
        versions,
        queues,
        """
        local found, checked = {}, {}
        for index = 1, #ARGV / 6 do
          local at = 6 * index - 5
          local queue = 2 + 5 * tonumber(ARGV[at])
          if not checked[queue] then
            checkTypes(queue)
            checked[queue] = true
          end
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

    static let all = [
        get, getPage, commit, commitWithoutGrowth, update, enqueue, claim, settle, queue, page, prune,
    ]
}
