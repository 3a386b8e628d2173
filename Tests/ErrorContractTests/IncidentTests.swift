import ErrorContract
import ReliabilityCore
import ReliabilityTesting
import Testing

/// What must never be seen by a client.
private let secrets = [
    "relation \"quotes\" does not exist", "SELECT * FROM customers WHERE id = 1", "/srv/app/Sources/Billing.swift:42",
    "postgres://admin:hunter2@10.0.0.7:5432/shop", "Bearer eyJhbGciOiJIUzI1NiJ9", "PSQLError",
    "keyNotFound(CodingKeys)",
    "ada@example.org", "\u{202E}gnihtemos", "a\r\nSet-Cookie: admin=1",
]

private struct DatabaseError: Error, CustomStringConvertible, CustomDebugStringConvertible {
    let text: String
    var table = "quotes"
    var description: String { text }
    var debugDescription: String { "debug \(text)" }
}

private enum QuotesTableError: Error { case missing(String) }

private final class Failure: Error, Sendable {
    let text: String
    init(_ text: String) { self.text = text }
}

@Suite(.timeLimit(.minutes(10))) struct IncidentTests {
    private let constant =
        #"{"code":"internal","message":"Something went wrong on our side.","request_id":"request-1","#

    /// The body without the incident's random digits.
    private func bodyWithoutIncident(_ error: any Error) -> String {
        let response = ErrorResponse(error, requestID: requestID)
        #expect(response.status == 500)
        #expect(response.incidentID?.utf8.count == 32)
        return response.jsonBody().text.replacing(response.incidentID ?? "-", with: "")
    }

    @Test(arguments: secrets)
    func nothingOfAnUnknownErrorReachesTheWire(_ secret: String) {
        let errors: [any Error] = [
            DatabaseError(text: secret), QuotesTableError.missing(secret), Failure(secret),
            SampleError(
                code: ErrorCode(rawValue: secret),
                category: .internal,
                message: secret,
                retryAfter: .seconds(7),
                details: [ErrorDetail(pointer: secret, code: "a", message: secret)],
                underlyingError: DatabaseError(text: secret)
            ),
            SampleError(code: "store.corruption", category: ErrorCategory(rawValue: secret), message: secret),
        ]
        for error in errors {
            #expect(bodyWithoutIncident(error) == constant + #""details":[],"incident_id":""}"#)
            #expect(ErrorResponse(error).headerFields.map(\.name) == ["content-type"])
        }
    }

    @Test(arguments: secrets)
    func nothingOfACauseReachesTheWire(_ secret: String) {
        let error = SampleError(category: .unavailable, underlyingError: DatabaseError(text: secret))
        let response = ErrorResponse(error, requestID: requestID)
        #expect(
            response.jsonBody().text.replacing(response.incidentID ?? "-", with: "")
                == #"{"code":"order.refused","message":"The order was refused.","request_id":"request-1","#
                + #""details":[],"incident_id":""}"#
        )
    }

    @Test(arguments: 0..<8)
    func randomTextOfAnErrorNeverReachesTheWire(seed: UInt64) {
        var state = seed
        for _ in 0..<50 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let text = String(state, radix: 36) + "-" + String(state.byteSwapped, radix: 16)
            let errors: [any Error] = [
                DatabaseError(text: text), Failure(text), QuotesTableError.missing(text),
                SampleError(code: "a", category: .internal, message: text),
            ]
            for error in errors {
                #expect(bodyWithoutIncident(error) == constant + #""details":[],"incident_id":""}"#, "seed \(seed)")
            }
        }
    }

    @Test func everyIncidentHasItsOwnID() {
        let first = ErrorResponse(Failure("a"))
        let second = ErrorResponse(Failure("a"))
        #expect(first.incidentID != second.incidentID)
    }

    @Test func anErrorThatSpeaksForItselfIsNoIncident() {
        let response = ErrorResponse(SampleError())
        #expect(response.incidentID == nil)
        #expect(!response.jsonBody().text.contains("incident_id"))
    }

    @Test func theObserverIsToldWhatTheClientIsNot() async {
        let (incidents, continuation) = AsyncStream.makeStream(of: ErrorIncident.self)
        let renderer = ErrorRenderer(onIncident: { continuation.yield($0) })
        let known = renderer.response(to: SampleError())
        let unknown = renderer.response(to: Failure("the cause"), requestID: requestID)
        var iterator = incidents.makeAsyncIterator()
        let incident = await iterator.next()
        #expect(known.incidentID == nil)
        #expect(incident?.id == unknown.incidentID)
        #expect(incident?.requestID == requestID)
        #expect((incident?.error as? Failure)?.text == "the cause")
    }

    @Test("50,000 errors in a burst and a slow observer: every incident is reported, in order, before a flush returns")
    func burst() async {
        let events = EventRecorder<String>()
        let renderer = ErrorRenderer(onIncident: { incident in
            let start = ContinuousClock.now
            while ContinuousClock.now < start + .microseconds(20) {}
            events.record(incident.id)
        })
        let rendered = (0..<50_000).map { renderer.response(to: Failure("\($0)")).incidentID }
        #expect(await ObserverDelivery.flush(within: .seconds(3600)))
        #expect(events.events == rendered)
    }

    @Test("past 65,536 waiting incidents the rest is counted, and the latest is reported with the count")
    func missed() async throws {
        let gate = Gate()
        let events = EventRecorder<ErrorIncident>()
        let renderer = ErrorRenderer(onIncident: { incident in
            events.record(incident)
            gate.pass()
        })
        let before = ObserverDelivery.missedCount
        _ = renderer.response(to: Failure("first"), requestID: requestID)
        await events.wait(for: 1)
        for number in 0..<65_636 { _ = renderer.response(to: Failure("\(number)"), requestID: requestID) }
        #expect(ObserverDelivery.missedCount - before >= 99)
        gate.open()
        let last = try #require(await events.wait(for: 65_538).last)
        #expect(last.missedBefore == 99)
        #expect((last.error as? Failure)?.text == "65635")
        #expect(events.events.dropLast().allSatisfy { $0.missedBefore == 0 })
        #expect("\(last)".hasSuffix(" (99 incident(s) before this one were dropped)"))
        #expect("\(events.events[0])".hasPrefix("incident \(events.events[0].id) of request request-1, status 500: "))
    }

    @Test("an observer of another renderer that blocks silences no other")
    func isolated() async {
        let gate = Gate()
        let entered = EventRecorder<Void>()
        let blocked = ErrorRenderer(onIncident: { _ in
            entered.record(())
            gate.pass()
        })
        _ = blocked.response(to: Failure("blocks"))
        await entered.wait(for: 1)
        let events = EventRecorder<String>()
        let renderer = ErrorRenderer(onIncident: { events.record($0.id) })
        let id = renderer.response(to: Failure("other")).incidentID
        #expect(await events.wait(for: 1) == [id])
        gate.open()
    }

    @Test("every response with a status of 500 or above has an identifier and is reported with it, and no other is")
    func everyFaultOfOurs() async {
        let (incidents, continuation) = AsyncStream.makeStream(of: ErrorIncident.self)
        let renderer = ErrorRenderer(
            statuses: [.upstream: 502, .gone: 410, .conflict: 599],
            onIncident: { continuation.yield($0) }
        )
        let statuses: [(ErrorCategory, Int)] = [
            (.invalid, 400), (.unauthenticated, 401), (.forbidden, 403), (.notFound, 404), (.gone, 410),
            (.preconditionFailed, 412), (.tooLarge, 413), (.unprocessable, 422), (.rateLimited, 429),
            (.cancelled, 499), (.internal, 500), (ErrorCategory(rawValue: "teapot"), 500), (.upstream, 502),
            (.unavailable, 503), (.timeout, 504), (.conflict, 599),
        ]
        var expected: [String] = []
        for (category, status) in statuses {
            let response = renderer.response(to: SampleError(code: "a", category: category), requestID: requestID)
            #expect(response.status == status)
            #expect((response.incidentID != nil) == (status >= 500))
            let end = response.incidentID.map { #""details":[],"incident_id":"\#($0)"}"# } ?? #""details":[]}"#
            #expect(response.jsonBody().text.hasSuffix(end))
            if let id = response.incidentID { expected.append("\(id) \(status) \(category)") }
        }
        #expect(expected.count == 6)
        var told: [String] = []
        for await incident in incidents.prefix(expected.count) {
            #expect(incident.requestID == requestID)
            told.append("\(incident.id) \(incident.status) \((incident.error as? SampleError)?.category ?? .invalid)")
        }
        #expect(told == expected)
    }

    @Test func manyTasksRenderAndEachIncidentIsToldOnce() async {
        let (incidents, continuation) = AsyncStream.makeStream(of: ErrorIncident.self)
        let renderer = ErrorRenderer(onIncident: { continuation.yield($0) })
        let rendered = await withTaskGroup(of: String?.self) { group in
            for number in 0..<200 {
                group.addTask { renderer.response(to: Failure("\(number)")).incidentID }
            }
            return await group.reduce(into: Set<String?>()) { $0.insert($1) }
        }
        #expect(rendered.count == 200)
        var told: Set<String?> = []
        for await incident in incidents {
            told.insert(incident.id)
            if told.count == 200 { break }
        }
        #expect(told == rendered)
    }
}

@Suite(.timeLimit(.minutes(10))) struct MappingTests {
    private struct NoRows: Error {}

    private let renderer = ErrorRenderer(map: { error in
        error is NoRows ? SampleError(code: "order.not_found", category: .notFound, message: "No such order.") : nil
    })

    @Test func aForeignErrorIsMapped() {
        let response = renderer.response(to: NoRows())
        #expect(response.status == 404)
        #expect(response.code == "order.not_found")
        #expect(response.incidentID == nil)
    }

    @Test func whatTheMapDoesNotKnowIsAnIncident() {
        #expect(renderer.response(to: Failure("x")).incidentID != nil)
    }

    @Test("the map is asked first, also about an error that speaks for itself; nil leaves the error as it is")
    func mapOfAKnownError() {
        struct Upstream: ReliabilityError {
            let code: ErrorCode = "bank.unauthenticated"
            let category = ErrorCategory.unauthenticated
            let message = "Who are you?"
        }
        let renderer = ErrorRenderer(map: { error in
            error is Upstream ? SampleError(code: "payment.unavailable", category: .unavailable) : nil
        })
        let response = renderer.response(to: Upstream())
        #expect(response.status == 503)
        #expect(response.code == "payment.unavailable")
        #expect(renderer.response(to: SampleError(category: .conflict)).status == 409)
        #expect(ErrorResponse(Upstream()).status == 401)
    }

    @Test func anInternalErrorFromTheMapIsAnIncidentOfTheOriginal() async {
        let (incidents, continuation) = AsyncStream.makeStream(of: ErrorIncident.self)
        let renderer = ErrorRenderer(
            map: { _ in SampleError(category: .internal) },
            onIncident: { continuation.yield($0) }
        )
        #expect(renderer.response(to: Failure("original")).code == "internal")
        var iterator = incidents.makeAsyncIterator()
        #expect(((await iterator.next())?.error as? Failure)?.text == "original")
    }

    @Test("a cancellation of the task that renders is no incident")
    func cancellationIsNoIncident() async {
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

@Suite("A cancellation of something else") struct InnerCancellationTests {
    @Test("is an incident: the client is there, and gets the constant answer")
    func inner() async throws {
        let (incidents, continuation) = AsyncStream.makeStream(of: ErrorIncident.self)
        let renderer = ErrorRenderer(onIncident: { continuation.yield($0) })
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

    @Test("is what the map says, for a renderer that runs in another task than the request")
    func mapped() {
        let renderer = ErrorRenderer(map: { $0 is CancellationError ? SampleError(category: .cancelled) : nil })
        #expect(renderer.response(to: CancellationError()).status == 499)
    }
}

@Suite struct StatusTests {
    @Test("statuses are open: further categories get theirs, and a listed one may get another")
    func statuses() {
        let renderer = ErrorRenderer(statuses: [
            .gone: 410, .upstream: 502, .init(rawValue: "method_not_allowed"): 405, .notFound: 410,
            .init(rawValue: "unsupported_media_type"): 415, .init(rawValue: "precondition_required"): 428,
        ])
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

    @Test("the wait is passed on by an error of a category of the application's own")
    func retryAfter() {
        let error = SampleError(category: .upstream, retryAfter: .seconds(7))
        #expect(ErrorRenderer(statuses: [.upstream: 502]).response(to: error).retryAfterSeconds == 7)
        #expect(ErrorRenderer().response(to: error).retryAfterSeconds == nil)
    }

    @Test("a status that is no error, and one for the category internal, are refused")
    func preconditions() async {
        await #expect(processExitsWith: .failure) { _ = ErrorRenderer(statuses: [.gone: 302]) }
        await #expect(processExitsWith: .failure) { _ = ErrorRenderer(statuses: [.gone: 600]) }
        await #expect(processExitsWith: .failure) { _ = ErrorRenderer(statuses: [.internal: 503]) }
    }

    @Test("an error gets further header fields, but for those that are not HTTP's or not free")
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

    @Test("no header field is made of an error of which nothing may be said")
    func headerFieldsOfTheUnknown() {
        let renderer = ErrorRenderer(headerFields: { [("x-code", $0.code.rawValue)] })
        #expect(renderer.response(to: SampleError(category: .internal)).headerFields.map(\.name) == ["content-type"])
        #expect(renderer.response(to: Failure("a")).headerFields.map(\.name) == ["content-type"])
        #expect(renderer.response(to: SampleError(category: .timeout)).headerFields.last?.name == "x-code")
    }
}

extension ErrorCategory {
    fileprivate static let gone = ErrorCategory(rawValue: "gone")
    fileprivate static let upstream = ErrorCategory(rawValue: "upstream")
}
