import NIOCore
import NIOHTTP1
import NIOPosix
import ReliabilityWebhooks

/// Makes a request on a connection of its own.
func post(_ request: WebhookRequest) async throws -> WebhookResponse {
    let connection = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .connect(host: request.address.description, port: Int(request.target.port)) { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHTTPClientHandlers()
                return try NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>(
                    wrappingChannelSynchronously: channel
                )
            }
        }
    return try await connection.executeThenClose { responses, requests in
        var headers = HTTPHeaders(request.headerFields.map { ($0.name, $0.value) })
        headers.add(name: "host", value: "\(request.target.host):\(request.target.port)")
        headers.add(name: "content-length", value: "\(request.body.count)")
        headers.add(name: "connection", value: "close")
        let path = String(request.url.drop { $0 != ":" }.dropFirst(3).drop { $0 != "/" })
        try await requests.write(.head(.init(version: .http1_1, method: .POST, uri: path, headers: headers)))
        try await requests.write(.body(.byteBuffer(ByteBuffer(bytes: request.body))))
        try await requests.write(.end(nil))
        var (status, fields, body) = (0, [(name: String, value: String)](), [UInt8]())
        loop: for try await part in responses {
            switch part {
            case .head(let head): (status, fields) = (Int(head.status.code), head.headers.map { ($0.name, $0.value) })
            case .body(let buffer):
                body += buffer.readableBytesView.prefix(request.maxResponseBytes - body.count)
                if body.count >= request.maxResponseBytes { break loop }
            case .end: break loop
            }
        }
        return WebhookResponse(status: status, headerFields: fields, body: body)
    }
}
