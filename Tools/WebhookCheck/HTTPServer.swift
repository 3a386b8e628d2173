import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix

/// A request with its whole body.
struct Request: Sendable {
    let method: String
    let path: String
    let headers: [(name: String, value: String)]
    /// The body, of which at most one byte more than the limit is kept.
    let body: [UInt8]
}

/// A response.
struct Response: Sendable {
    var status: Int
    var headers: [(name: String, value: String)] = []
    var body: [UInt8] = []
}

/// Serves HTTP/1.1 on the loopback interface and prints `ready` when connections are accepted.
///
/// The bytes of a body after the limit are dropped.
func serveHTTP(
    port: Int,
    maxBodyBytes: Int,
    _ respond: @escaping @Sendable (Request) async -> Response
) async throws {
    let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        .bind(host: "127.0.0.1", port: port) { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
                return try NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>(
                    wrappingChannelSynchronously: channel
                )
            }
        }
    FileHandle.standardOutput.write(Data("ready\n".utf8))
    try await server.executeThenClose { connections in
        try await withThrowingDiscardingTaskGroup { group in
            for try await connection in connections {
                // The client decides how a connection ends, so an error concerns this connection only.
                group.addTask { try? await serve(connection, maxBodyBytes, respond) }
            }
        }
    }
}

private func serve(
    _ connection: NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>,
    _ maxBodyBytes: Int,
    _ respond: @Sendable (Request) async -> Response
) async throws {
    try await connection.executeThenClose { requests, responses in
        var head: HTTPRequestHead?
        var body: [UInt8] = []
        for try await part in requests {
            switch part {
            case .head(let received): (head, body) = (received, [])
            case .body(let buffer): body += buffer.readableBytesView.prefix(max(0, maxBodyBytes + 1 - body.count))
            case .end:
                guard let received = head else { return }
                let request = Request(
                    method: received.method.rawValue,
                    path: received.uri,
                    headers: received.headers.map { ($0.name, $0.value) },
                    body: body
                )
                let response = await respond(request)
                var headers = HTTPHeaders(response.headers.map { ($0.name, $0.value) })
                if response.status != 204 {
                    headers.replaceOrAdd(name: "content-length", value: "\(response.body.count)")
                }
                let status = HTTPResponseStatus(statusCode: response.status)
                try await responses.write(.head(.init(version: .http1_1, status: status, headers: headers)))
                if !response.body.isEmpty {
                    try await responses.write(.body(.byteBuffer(ByteBuffer(bytes: response.body))))
                }
                try await responses.write(.end(nil))
                if !received.isKeepAlive { return }
            }
        }
    }
}
