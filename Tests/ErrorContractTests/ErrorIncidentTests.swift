import ErrorContract
import ReliabilityCore
import ReliabilityTesting
import TestSupport
import Testing

/// Texts that a client must never receive.
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

@Suite("ErrorIncident", .timeLimit(.minutes(30)))
struct ErrorIncidentTests {
    private let constant =
        #"{"code":"internal","message":"Something went wrong on our side.","request_id":"request-1","#

    /// The body without the incident's random digits.
    private func bodyWithoutIncident(_ error: any Error) -> String {
        let response = ErrorResponse(error, requestID: requestID)
        #expect(response.status == 500)
        #expect(response.incidentID?.utf8.count == 32)
        return response.jsonBody().text.replacing(response.incidentID ?? "-", with: "")
    }

    @Test("nothing of an unknown error reaches the response", arguments: secrets)
    func unknownError(_ secret: String) {
        let errors: [any Error] = [
            DatabaseError(text: secret), QuotesTableError.missing(secret), ForeignError(secret),
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

    @Test("nothing of a cause reaches the response", arguments: secrets)
    func cause(_ secret: String) {
        let error = SampleError(category: .unavailable, underlyingError: DatabaseError(text: secret))
        let response = ErrorResponse(error, requestID: requestID)
        #expect(
            response.jsonBody().text.replacing(response.incidentID ?? "-", with: "")
                == #"{"code":"order.rejected","message":"The order was rejected.","request_id":"request-1","#
                + #""details":[],"incident_id":""}"#
        )
    }

    @Test("no random text of an error reaches the response", arguments: 0..<8)
    func randomText(seed: UInt64) {
        var state = seed
        for _ in 0..<50 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let text = String(state, radix: 36) + "-" + String(state.byteSwapped, radix: 16)
            let errors: [any Error] = [
                DatabaseError(text: text), ForeignError(text), QuotesTableError.missing(text),
                SampleError(code: "a", category: .internal, message: text),
            ]
            for error in errors {
                #expect(bodyWithoutIncident(error) == constant + #""details":[],"incident_id":""}"#, "seed \(seed)")
            }
        }
    }

    @Test("every incident has its own ID")
    func uniqueIDs() {
        let first = ErrorResponse(ForeignError("a"))
        let second = ErrorResponse(ForeignError("a"))
        #expect(first.incidentID != second.incidentID)
    }

    @Test("an error with a message for clients is not an incident")
    func knownError() {
        let response = ErrorResponse(SampleError())
        #expect(response.incidentID == nil)
        #expect(!response.jsonBody().text.contains("incident_id"))
    }

    @Test("the observer receives the error and the IDs of an incident")
    func observer() async {
        let (incidents, continuation) = AsyncStream.makeStream(of: ErrorIncident.self)
        let renderer = ErrorRenderer(observer: { continuation.yield($0) })
        let known = renderer.response(to: SampleError())
        let unknown = renderer.response(to: ForeignError("the cause"), requestID: requestID)
        var iterator = incidents.makeAsyncIterator()
        let incident = await iterator.next()
        #expect(known.incidentID == nil)
        #expect(incident?.id == unknown.incidentID)
        #expect(incident?.requestID == requestID)
        #expect((incident?.error as? ForeignError)?.text == "the cause")
    }

    @Test("a slow observer receives a burst of 50,000 incidents in order before a flush returns")
    func burst() async {
        let events = EventRecorder<String>()
        let renderer = ErrorRenderer(
            observer: { incident in
                let start = ContinuousClock.now
                while ContinuousClock.now < start + .microseconds(20) {}
                events.record(incident.id)
            }
        )
        let rendered = (0..<50_000).map { renderer.response(to: ForeignError("\($0)")).incidentID }
        #expect(await ObserverDelivery.flush(within: .seconds(3600)))
        #expect(events.events == rendered)
    }

    @Test("incidents above 65,536 waiting incidents are counted, and the latest incident has the count")
    func missed() async throws {
        let gate = ThreadGate()
        let events = EventRecorder<ErrorIncident>()
        let renderer = ErrorRenderer(
            observer: { incident in
                events.record(incident)
                gate.pass()
            }
        )
        let before = ObserverDelivery.missedCount
        _ = renderer.response(to: ForeignError("first"), requestID: requestID)
        await events.wait(for: 1)
        for number in 0..<65_636 { _ = renderer.response(to: ForeignError("\(number)"), requestID: requestID) }
        #expect(ObserverDelivery.missedCount - before >= 99)
        gate.open()
        let last = try #require(await events.wait(for: 65_538).last)
        #expect(last.missedBefore == 99)
        #expect((last.error as? ForeignError)?.text == "65635")
        #expect(events.events.dropLast().allSatisfy { $0.missedBefore == 0 })
        #expect("\(last)".hasSuffix(" (99 incident(s) before this one were dropped)"))
        #expect("\(events.events[0])".hasPrefix("incident \(events.events[0].id) of request request-1, status 500: "))
    }

    @Test("a blocked observer delays no observer of another renderer")
    func isolated() async {
        let gate = ThreadGate()
        let entered = EventRecorder<Void>()
        let blocked = ErrorRenderer(
            observer: { _ in
                entered.record(())
                gate.pass()
            }
        )
        _ = blocked.response(to: ForeignError("blocks"))
        await entered.wait(for: 1)
        let events = EventRecorder<String>()
        let renderer = ErrorRenderer(observer: { events.record($0.id) })
        let id = renderer.response(to: ForeignError("other")).incidentID
        #expect(await events.wait(for: 1) == [id])
        gate.open()
    }

    @Test("a response is reported with an incident ID if and only if its status is 500 or above")
    func serverErrors() async {
        let (incidents, continuation) = AsyncStream.makeStream(of: ErrorIncident.self)
        let renderer = ErrorRenderer(
            .statuses([.upstream: 502, .gone: 410, .conflict: 599]),
            observer: { continuation.yield($0) }
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
        var reported: [String] = []
        for await incident in incidents.prefix(expected.count) {
            #expect(incident.requestID == requestID)
            reported.append(
                "\(incident.id) \(incident.status) \((incident.error as? SampleError)?.category ?? .invalid)"
            )
        }
        #expect(reported == expected)
    }

    @Test("the incidents of concurrent tasks are reported once each")
    func concurrent() async {
        let (incidents, continuation) = AsyncStream.makeStream(of: ErrorIncident.self)
        let renderer = ErrorRenderer(observer: { continuation.yield($0) })
        let rendered = await withTaskGroup(of: String?.self) { group in
            for number in 0..<200 {
                group.addTask { renderer.response(to: ForeignError("\(number)")).incidentID }
            }
            return await group.reduce(into: Set<String?>()) { $0.insert($1) }
        }
        #expect(rendered.count == 200)
        var reported: Set<String?> = []
        for await incident in incidents {
            reported.insert(incident.id)
            if reported.count == 200 { break }
        }
        #expect(reported == rendered)
    }
}
