#if Valkey
internal import NIOCore
internal import ReliabilityRedis
internal import Valkey

extension RedisReply {
    /// Creates a reply from a token of the client.
    ///
    /// Types that only the third version of the protocol has become their form in the second version.
    init(_ token: RESPToken) {
        switch token.value {
        case .null: self = .null
        case .number(let number): self = .integer(number)
        case .boolean(let isTrue): self = .integer(isTrue ? 1 : 0)
        case .bulkString(let buffer), .simpleString(let buffer), .verbatimString(let buffer), .bigNumber(let buffer):
            self = .bytes(Array(buffer.readableBytesView))
        case .double(let number): self = .bytes(Array("\(number)".utf8))
        case .simpleError(let buffer), .bulkError(let buffer): self = .error(String(buffer: buffer))
        case .array(let tokens), .set(let tokens), .push(let tokens): self = .array(tokens.map { RedisReply($0) })
        case .map(let pairs), .attribute(let pairs):
            self = .array(pairs.flatMap { [RedisReply($0.key), RedisReply($0.value)] })
        }
    }
}
#endif
