internal import ReliabilityStore

/// One call to a store that several clients use at once.
package struct HistoryCall: Hashable, Sendable {
    package enum Action: Hashable, Sendable {
        case operation(StoreOperation)
        /// The store was opened anew: versions go on from this one.
        case reopening(nextVersion: UInt64)
    }

    package var client: Int
    package var action: Action
    /// The store's clock meanwhile: nobody moves it while a call is under way.
    package var now: Int64
    /// When the call began and when it was answered, by one counter for all clients.
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

/// Whether calls can be put in one order that explains every answer and agrees with the time of each call.
///
/// The search is that of Wing and Gong, "Testing and Verifying Concurrent Objects" (1993), with the memory of Lowe,
/// "Testing for linearizability" (2017): of the calls that began before every call that is not placed yet was
/// answered, it tries each that the model answers as the store did, and does not try the same set of placed calls with
/// the same content of the store twice.
///
/// A write whose outcome is unknown may be placed anywhere after its beginning and before the store is opened anew, or
/// nowhere. A call that was refused because it was cancelled, or because the store failed, is nowhere.
package struct HistoryChecker {
    package enum Verdict: Hashable, Sendable {
        case linearizable
        /// What is known about the place where no order goes on.
        case violation(String)
        /// The search was given up.
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
        isOptional = calls.map { $0.answer == .refused(.unknownOutcome) }
    }

    /// Whether a call with this answer changed nothing and shows nothing.
    private static func isNothing(_ answer: StoreAnswer) -> Bool {
        guard case .refused(let reason) = answer else { return false }
        switch reason {
        case .cancelled, .failed, .closed, .diskFull, .unavailable, .readOnly: return true
        case .unknownOutcome, .capacityExceeded, .invalid, .corruption, .locked, .unsupportedFormat: return false
        }
    }

    /// Looks for an order.
    ///
    /// - Parameters:
    ///   - model: What the store held before all calls.
    ///   - limit: After how many steps to give up.
    /// - Returns: What was found.
    package func check(from model: ModelStore, limit: Int = 2_000_000) -> Verdict {
        var stack = [Point(placed: Array(repeating: 0, count: calls.count / 64 + 1), model: model)]
        var seen: Set<Point> = []
        var deepest = stack[0]
        var deepestCount = -1
        for _ in 0..<limit {
            guard var point = stack.popLast() else { return .violation(explain(deepest)) }
            var candidates = candidates(point)
            // What fits here and changes nothing anywhere goes first: no other order is lost by that.
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

    /// The calls that may come next: those of unknown outcome first, for they are tried last.
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

    /// Whether a call's answer says that it changed nothing, wherever it was.
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

    /// The point after a call; nil where it does not fit.
    private func after(_ call: Int, _ point: Point) -> Point? {
        var next = point
        switch calls[call].action {
        case .operation(let operation):
            let answer = next.model.apply(operation, now: calls[call].now)
            // A call of unknown outcome that changes nothing here need not be here.
            guard isOptional[call] ? next.model != point.model : answer == calls[call].answer else { return nil }
            next.place(call)
        case .reopening(let nextVersion):
            guard nextVersion >= next.model.nextVersion else { return nil }
            next.model.reopen(nextVersion: nextVersion, now: calls[call].now)
            // What has not happened by now never will.
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
