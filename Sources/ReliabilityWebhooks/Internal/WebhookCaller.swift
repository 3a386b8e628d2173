internal import ReliabilityCore

/// Makes attempts to deliver webhooks, without any decision about their results.
struct WebhookCaller: Sendable {
    /// The result of an attempt.
    struct Exchange: Sendable {
        let attempt: WebhookAttempt
        /// The values of the fields `Retry-After` of the response.
        let retryAfter: [String]
    }

    private static let maxResponseBytes = 16 << 10
    private static let maxLoggedBytes = 512

    let configuration: WebhookSender.Configuration
    let timeSource: TimeSource
    let unixSeconds: @Sendable () -> Int64
    let resolve: @Sendable (String) async throws -> [WebhookAddress]
    let transport: @Sendable (WebhookRequest) async throws -> WebhookResponse

    /// Makes an attempt within the time limit.
    ///
    /// - Parameters:
    ///   - endpoint: The endpoint.
    ///   - message: The message.
    ///   - number: The number of the attempt.
    ///   - ended: Called when the transport has returned, which can be after the time limit.
    /// - Returns: The result.
    func call(
        _ endpoint: WebhookEndpoint,
        _ message: WebhookMessage,
        number: Int,
        ended: @escaping @Sendable () -> Void = {}
    ) async -> Exchange {
        let (time, start) = (unixSeconds(), timeSource.now)
        let result = await withinLimit(configuration.timeLimit, timeSource: timeSource) {
            defer { ended() }
            do throws(WebhookDeliveryError) {
                return Result<_, WebhookDeliveryError>.success(try await send(message, endpoint, at: time))
            } catch {
                return .failure(error)
            }
        }
        var error: WebhookDeliveryError?
        var answer: (response: WebhookResponse, kind: WebhookAddress.Kind)?
        switch result {
        case .success(let value): (answer, error) = (value, failure(value.response.status))
        case .failure(let failure): error = failure
        case nil: error = WebhookDeliveryError(.timedOut)
        }
        let body = answer?.response.body ?? []
        return Exchange(
            attempt: WebhookAttempt(
                messageID: message.id,
                type: message.type,
                number: number,
                unixSeconds: time,
                duration: .nanoseconds(timeSource.now.saturatingSubtract(start)),
                status: answer?.response.status,
                error: error,
                keyIDs: endpoint.signer.activeKeys(at: time).map(\.id),
                addressKind: answer?.kind,
                responseStart: configuration.logsResponses ? Array(body.prefix(Self.maxLoggedBytes)) : []
            ),
            retryAfter: (answer?.response.headerFields ?? []).filter { $0.name.lowercased() == "retry-after" }
                .map(\.value)
        )
    }

    private func failure(_ status: Int) -> WebhookDeliveryError? {
        if configuration.disablingStatuses.contains(status) { return WebhookDeliveryError(.gone) }
        switch status {
        case 200..<300: return nil
        case 300..<400: return WebhookDeliveryError(.redirected(status: status))
        default: return WebhookDeliveryError(.status(status))
        }
    }

    /// Signs a message, checks the endpoint's addresses and calls the transport.
    private func send(
        _ message: WebhookMessage,
        _ endpoint: WebhookEndpoint,
        at time: Int64
    ) async throws(WebhookDeliveryError) -> (response: WebhookResponse, kind: WebhookAddress.Kind) {
        let fields = try endpoint.signer.headerFields(id: message.id, unixSeconds: time, body: message.payload)
        let policy = configuration.addresses
        let target: WebhookTarget
        do throws(WebhookAddressPolicy.Rejection) { target = try policy.target(of: endpoint.url) } catch {
            throw WebhookDeliveryError(.addressRejected(error))
        }
        var addresses = target.address.map { [$0] } ?? []
        if addresses.isEmpty {
            do { addresses = try await resolve(target.host) } catch { throw WebhookDeliveryError(.resolutionFailed) }
        }
        let address: WebhookAddress
        do throws(WebhookAddressPolicy.Rejection) { address = try policy.address(among: addresses) } catch {
            throw WebhookDeliveryError(.addressRejected(error))
        }
        let request = WebhookRequest(
            url: endpoint.url,
            target: target,
            address: address,
            headerFields: [("content-type", "application/json")] + fields,
            body: message.payload,
            timeLimit: configuration.timeLimit,
            maxResponseBytes: Self.maxResponseBytes
        )
        do {
            return (try await transport(request), address.kind)
        } catch {
            throw WebhookDeliveryError(.transportFailed(error.reliability?.code))
        }
    }
}
