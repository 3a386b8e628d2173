import ErrorContract
import ReliabilityCore
import Testing

@Suite("ErrorRenderer: mapping", .timeLimit(.minutes(30)))
struct ErrorRendererMappingTests {
    private struct NoRows: Error {}

    private let renderer = ErrorRenderer(
        classify: { error in
            error is NoRows ? SampleError(code: "order.not_found", category: .notFound, message: "No such order.") : nil
        }
    )

    @Test("a foreign error is mapped")
    func foreignError() {
        let response = renderer.response(to: NoRows())
        #expect(response.status == 404)
        #expect(response.code == "order.not_found")
        #expect(response.incidentID == nil)
    }

    @Test("an error without a mapping is an incident")
    func unmappedError() {
        #expect(renderer.response(to: ForeignError("x")).incidentID != nil)
    }

    @Test("the map is asked before the error's own category, and `nil` keeps the error unchanged")
    func knownError() {
        struct Upstream: ReliabilityError {
            let code: ErrorCode = "bank.unauthenticated"
            let category = ErrorCategory.unauthenticated
            let message = "Who are you?"
        }
        let renderer = ErrorRenderer(
            classify: { error in
                error is Upstream ? SampleError(code: "payment.unavailable", category: .unavailable) : nil
            }
        )
        let response = renderer.response(to: Upstream())
        #expect(response.status == 503)
        #expect(response.code == "payment.unavailable")
        #expect(renderer.response(to: SampleError(category: .conflict)).status == 409)
        #expect(ErrorResponse(Upstream()).status == 401)
    }

    @Test("an incident of a mapped error has the original error")
    func internalError() async {
        let (incidents, continuation) = AsyncStream.makeStream(of: ErrorIncident.self)
        let renderer = ErrorRenderer(
            classify: { _ in SampleError(category: .internal) },
            observer: { continuation.yield($0) }
        )
        #expect(renderer.response(to: ForeignError("original")).code == "internal")
        var iterator = incidents.makeAsyncIterator()
        #expect(((await iterator.next())?.error as? ForeignError)?.text == "original")
    }

    @Test("a cancellation of the rendering task is not an incident")
    func cancellation() async {
        let response = await Task { [renderer] in
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            return renderer.response(to: CancellationError(), requestID: requestID)
        }.value
        #expect(response.status == 499)
        #expect(
            response.jsonBody().text
                == #"{"code":"cancelled","message":"The request was cancelled.","request_id":"request-1","details":[]}"#
        )
    }
}

@Suite("ErrorRenderer: inner cancellation")
struct ErrorRendererCancellationTests {
    @Test("CancellationError in a task that is not cancelled is an incident")
    func inner() async throws {
        let (incidents, continuation) = AsyncStream.makeStream(of: ErrorIncident.self)
        let renderer = ErrorRenderer(observer: { continuation.yield($0) })
        let inner = Task { try Task.checkCancellation() }
        inner.cancel()
        let response: ErrorResponse
        do {
            try await inner.value
            return
        } catch {
            response = renderer.response(to: error)
        }
        try #require(response.status == 500 && response.code == "internal")
        var iterator = incidents.makeAsyncIterator()
        let incident = try #require(await iterator.next())
        #expect(incident.id == response.incidentID && incident.error is CancellationError)
    }

    @Test("a map can turn CancellationError into a cancelled response")
    func mapped() {
        let renderer = ErrorRenderer(classify: { $0 is CancellationError ? SampleError(category: .cancelled) : nil })
        #expect(renderer.response(to: CancellationError()).status == 499)
    }
}

@Suite("ErrorRenderer: statuses and header fields")
struct ErrorRendererStatusTests {
    @Test("a configuration adds statuses of new categories and replaces existing statuses")
    func statuses() {
        let renderer = ErrorRenderer(
            .statuses([
                .gone: 410, .upstream: 502, .init(rawValue: "method_not_allowed"): 405, .notFound: 410,
                .init(rawValue: "unsupported_media_type"): 415, .init(rawValue: "precondition_required"): 428,
            ])
        )
        for (category, status) in [
            (ErrorCategory.gone, 410), (.upstream, 502), (.init(rawValue: "method_not_allowed"), 405), (.notFound, 410),
            (.init(rawValue: "unsupported_media_type"), 415), (.init(rawValue: "precondition_required"), 428),
            (.invalid, 400), (.init(rawValue: "other"), 500),
        ] {
            let response = renderer.response(to: SampleError(code: "a", category: category, message: "b"))
            #expect(response.status == status)
            #expect(response.code == (status == 500 ? "internal" : "a"))
        }
    }

    @Test("an error of a custom category keeps its retry-after")
    func retryAfter() {
        let error = SampleError(category: .upstream, retryAfter: .seconds(7))
        #expect(ErrorRenderer(.statuses([.upstream: 502])).response(to: error).retryAfterSeconds == 7)
        #expect(ErrorRenderer().response(to: error).retryAfterSeconds == nil)
    }

    @Test("a status that is not an error and a status for the category internal are rejected")
    func preconditions() async {
        await #expect(processExitsWith: .failure) { _ = ErrorRenderer(.statuses([.gone: 302])) }
        await #expect(processExitsWith: .failure) { _ = ErrorRenderer(.statuses([.gone: 600])) }
        await #expect(processExitsWith: .failure) { _ = ErrorRenderer(.statuses([.internal: 503])) }
    }

    @Test("an error adds header fields, except invalid and reserved fields")
    func headerFields() {
        let renderer = ErrorRenderer(headerFields: { error in
            guard error.category == .unauthenticated else { return [] }
            return [
                ("www-authenticate", #"Bearer realm="shop""#), ("x-a", "é\tb"), ("", "a"), ("a b", "c"), ("a:", "b"),
                ("ä", "b"),
                ("x-b", "a\r\nset-cookie: c"), ("x-c", "a\0"), ("x-d", "\u{7F}"), ("Content-Type", "text/html"),
                ("RETRY-AFTER", "1"), ("content-length", "1"),
            ]
        })
        let fields = renderer.response(to: SampleError(category: .unauthenticated)).headerFields
        #expect(fields.map(\.name) == ["content-type", "www-authenticate", "x-a"])
        #expect(fields.map(\.value) == ["application/json", #"Bearer realm="shop""#, "é\tb"])
        #expect(renderer.response(to: SampleError()).headerFields.map(\.name) == ["content-type"])
    }

    @Test("an internal or unknown error adds no header fields")
    func unknownErrors() {
        let renderer = ErrorRenderer(headerFields: { [("x-code", $0.code.rawValue)] })
        #expect(renderer.response(to: SampleError(category: .internal)).headerFields.map(\.name) == ["content-type"])
        #expect(renderer.response(to: ForeignError("a")).headerFields.map(\.name) == ["content-type"])
        #expect(renderer.response(to: SampleError(category: .timeout)).headerFields.last?.name == "x-code")
    }
}
