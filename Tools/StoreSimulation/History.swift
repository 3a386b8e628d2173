internal import ReliabilityStore

/// A call to a store with concurrent clients.
package struct HistoryCall: Hashable, Sendable {
    package enum Action: Hashable, Sendable {
        case operation(WorkloadOperation)
        /// The store was opened again, and versions continue from this version.
        case reopening(nextVersion: UInt64)
    }

    package var client: Int
    package var action: Action
    /// The store's clock, which does not move during a call.
    package var now: Int64
    /// The begin and the end of the call, counted over all clients.
    package var invoked: Int
    package var responded: Int
    package var answer: StoreAnswer

    package init(client: Int, _ action: Action, now: Int64, invoked: Int, responded: Int, _ answer: StoreAnswer) {
        self.client = client
        self.action = action
        self.now = now
        self.invoked = invoked
        self.responded = responded
        self.answer = answer
    }
}

/// A check for an order of calls that explains every answer and respects the time of each call.
///
/// The search is that of Wing and Gong, "Testing and Verifying Concurrent Objects" (1993), with the memory of Lowe,
/// "Testing for linearizability" (2017): of the calls that began before every call that is not placed yet was
/// answered, it tries each that the model answers as the store did, and does not try the same set of placed calls with
/// the same content of the store twice.
///
/// A write whose outcome is unknown may be placed anywhere after its beginning and before the store is opened anew, or
/// nowhere. A call that was rejected because it was cancelled, or because the store failed, is nowhere.
package struct HistoryChecker {
    package enum CheckResult: Hashable, Sendable {
        case linearizable
        /// The state at which no order continues.
        case violation(String)
        /// The search reached its limit.
        case undecided
    }

    private let calls: [HistoryCall]
    private let isOptional: [Bool]

    private struct Point: Hashable {
        var placed: [UInt64]
        var firstOpen = 0
        var model: ModelStore

        func isPlaced(_ call: Int) -> Bool { placed[call >> 6] >> UInt64(call & 63) & 1 == 1 }

        mutating func place(_ call: Int) {
            placed[call >> 6] |= 1 << UInt64(call & 63)
            while firstOpen < placed.count * 64, isPlaced(firstOpen) { firstOpen += 1 }
        }
    }

    package init(_ history: [HistoryCall]) {
        calls = history.filter { !Self.isNothing($0.answer) }.sorted { $0.invoked < $1.invoked }
        isOptional = calls.map { $0.answer == .rejected(.unknownOutcome) }
    }

    /// Returns a Boolean value that indicates whether a call with this answer changed nothing and shows nothing.
    private static func isNothing(_ answer: StoreAnswer) -> Bool {
        guard case .rejected(let reason) = answer else { return false }
        switch reason {
        case .cancelled, .failed, .closed, .diskFull, .unavailable, .readOnly: return true
        case .unknownOutcome, .capacityExceeded, .invalid, .corruption, .locked, .unsupportedFormat: return false
        }
    }

    /// Looks for an order.
    ///
    /// - Parameters:
    ///   - model: The content of the store before all calls.
    ///   - limit: The maximum number of steps.
    /// - Returns: The result of the search.
    package func check(from model: ModelStore, limit: Int = 2_000_000) -> CheckResult {
        var stack = [Point(placed: Array(repeating: 0, count: calls.count / 64 + 1), model: model)]
        var seen: Set<Point> = []
        var deepest = stack[0]
        var deepestCount = -1
        for _ in 0..<limit {
            guard var point = stack.popLast() else { return .violation(explain(deepest)) }
            var candidates = candidates(point)
            // A call that fits here and changes nothing anywhere is placed first. This excludes no order.
            while let call = candidates.first(where: { changesNothing($0) && fits($0, point) }) {
                point.place(call)
                candidates = self.candidates(point)
            }
            if candidates.allSatisfy({ isOptional[$0] }), isDone(point) { return .linearizable }
            let count = point.placed.reduce(0) { $0 + $1.nonzeroBitCount }
            if count > deepestCount { (deepest, deepestCount) = (point, count) }
            let next = candidates.compactMap { after($0, point) }
            if next.count > 1, !seen.insert(point).inserted { continue }
            stack += next
        }
        return .undecided
    }

    private func isDone(_ point: Point) -> Bool {
        calls.indices.dropFirst(point.firstOpen).allSatisfy { isOptional[$0] || point.isPlaced($0) }
    }

    /// Returns the calls that may come next.
    ///
    /// Calls of unknown outcome are first, because they are tried last.
    private func candidates(_ point: Point) -> [Int] {
        var required: [Int] = []
        var optional: [Int] = []
        var firstAnswer = Int.max
        for call in calls.indices.dropFirst(point.firstOpen) {
            if calls[call].invoked > firstAnswer { break }
            if point.isPlaced(call) { continue }
            if isOptional[call] {
                optional.append(call)
            } else {
                required.append(call)
                firstAnswer = min(firstAnswer, calls[call].responded)
            }
        }
        required.removeAll { calls[$0].invoked > firstAnswer }
        return optional + required.sorted { calls[$0].responded > calls[$1].responded }
    }

    /// Returns a Boolean value that indicates whether a call changed nothing at any place.
    private func changesNothing(_ call: Int) -> Bool {
        calls[call].answer.showsNoChange && !isReopening(call) && !isOptional[call]
    }

    private func isReopening(_ call: Int) -> Bool {
        if case .reopening = calls[call].action { true } else { false }
    }

    private func fits(_ call: Int, _ point: Point) -> Bool {
        guard case .operation(let operation) = calls[call].action else { return false }
        var model = point.model
        return model.apply(operation, now: calls[call].now) == calls[call].answer
    }

    /// Returns the point after a call, or `nil` if the call does not fit.
    private func after(_ call: Int, _ point: Point) -> Point? {
        var next = point
        switch calls[call].action {
        case .operation(let operation):
            let answer = next.model.apply(operation, now: calls[call].now)
            // A call of unknown outcome without a change here can be left out.
            guard isOptional[call] ? next.model != point.model : answer == calls[call].answer else { return nil }
            next.place(call)
        case .reopening(let nextVersion):
            guard nextVersion >= next.model.nextVersion else { return nil }
            next.model.reopen(nextVersion: nextVersion, now: calls[call].now)
            // A call of unknown outcome that has not happened before the opening never happens.
            for other in calls.indices where isOptional[other] && calls[other].invoked < calls[call].invoked {
                next.place(other)
            }
            next.place(call)
        }
        return next
    }

    private func explain(_ point: Point) -> String {
        var text =
            "no order goes on after \(point.placed.reduce(0) { $0 + $1.nonzeroBitCount }) of \(calls.count) calls"
        for call in candidates(point).reversed() {
            text += "\nclient \(calls[call].client), \(calls[call].invoked) to \(calls[call].responded): "
            text += "\(calls[call].action)\n  was answered \(calls[call].answer)"
            if case .operation(let operation) = calls[call].action {
                var model = point.model
                text += "\n  not \(model.apply(operation, now: calls[call].now))"
            }
        }
        return text
    }
}
