import Testing

@testable import ReliabilityCore

@Suite("FlightStateMachine")
struct FlightStateMachineTests {
    private func join(_ flight: inout FlightStateMachine<String>, _ call: String) throws -> Int {
        let ticket = flight.join(call)
        return try #require(ticket)
    }

    @Test("C11: the flight continues until its last call has left")
    func lastLeaves() throws {
        var flight = FlightStateMachine<String>(isHeld: false)
        let first = try join(&flight, "first")
        let second = try join(&flight, "second")
        let isAbandonedFirst = flight.leave(first)
        #expect(!isAbandonedFirst)
        #expect(flight.waiting == 1)
        let isAbandoned = flight.leave(second)
        #expect(isAbandoned)
        #expect(flight.phase == .abandoned)
    }

    @Test("C12: no call joins an abandoned flight, and its end resumes no call")
    func abandoned() throws {
        var flight = FlightStateMachine<String>(isHeld: false)
        let ticket = try join(&flight, "first")
        let isAbandoned = flight.leave(ticket)
        #expect(isAbandoned)
        let late = flight.join("late")
        #expect(late == nil)
        let end = flight.end()
        #expect(end == nil)
        let isAbandonedAgain = flight.leave(ticket)
        #expect(!isAbandonedAgain)
    }

    @Test("C11: a held flight is never abandoned")
    func held() throws {
        var flight = FlightStateMachine<String>(isHeld: true)
        let ticket = try join(&flight, "first")
        let isAbandoned = flight.leave(ticket)
        #expect(!isAbandoned)
        #expect(flight.phase == .running)
        let end = flight.end()
        #expect(end == [])
    }

    @Test("the end resumes each waiting call once, and places of calls that left are used again")
    func ends() throws {
        var flight = FlightStateMachine<String>(isHeld: false)
        let first = try join(&flight, "first")
        _ = flight.join("second")
        let isAbandoned = flight.leave(first)
        #expect(!isAbandoned)
        let third = flight.join("third")
        #expect(third == first)
        let resumed = flight.end()
        #expect(resumed == ["third", "second"])
        let end = flight.end()
        #expect(end == nil)
        let late = flight.join("late")
        #expect(late == nil)
    }
}
