/// A queue that serves tenants in turn and each tenant in the order of arrival.
///
/// Every operation takes constant time, independent of the number of elements and tenants. The elements are in an array
/// with links instead of objects, so that an element costs one place and no allocation.
struct FairQueue<Element: Sendable>: Sendable {
    /// The place of an element, valid until the element leaves the queue.
    struct Ticket: Hashable, Sendable {
        fileprivate let place: Int32
        fileprivate let number: UInt32
    }

    /// An element that left the queue.
    struct Departure: Sendable {
        let element: Element
        /// The reading at which the element was added.
        let arrival: Int64
        /// The reading until which the element is of use.
        let deadline: Int64
    }

    private struct Place: Sendable {
        var element: Element?
        var arrival: Int64 = 0
        var deadline: Int64 = 0
        /// The number of uses of the place, which outdates old tickets.
        var number: UInt32 = 0
        var tenant = none
        /// The neighbors in the line of the tenant.
        ///
        /// `next` links free places too.
        var next = none
        var previous = none
    }

    private struct Line: Sendable {
        var name: String?
        /// The reading at which the tenant had no elements for the last time.
        var start: Int64 = 0
        var oldest = none
        var newest = none
        var count = 0
        /// The neighbors in the ring of tenants, whose turn comes after `previousTurn` and before `nextTurn`.
        var nextTurn = none
        var previousTurn = none
        /// The neighbors among the tenants with the same number of elements.
        ///
        /// `nextPeer` links free lines too.
        var nextPeer = none
        var previousPeer = none
    }

    private static var none: Int32 { -1 }

    private var places: [Place] = []
    private var freePlace = FairQueue.none
    private var lines: [Line] = []
    private var freeLine = FairQueue.none
    private var lineOfTenant: [String?: Int32] = [:]
    /// The tenant whose turn is next.
    private var turn = FairQueue.none
    /// The first tenant with each number of elements.
    private var peers: [Int32] = []
    /// The highest number of elements of a tenant.
    private(set) var longest = 0
    /// The number of elements.
    private(set) var count = 0

    /// Creates an empty queue.
    init() {}

    var isEmpty: Bool { count == 0 }

    /// Returns the number of elements of a tenant.
    func count(of tenant: String?) -> Int { lineOfTenant[tenant].map { lines[Int($0)].count } ?? 0 }

    /// Adds an element.
    mutating func append(_ element: Element, of tenant: String?, at now: Int64, deadline: Int64) -> Ticket {
        let line = lineOfTenant[tenant] ?? addLine(tenant, at: now)
        let place = takePlace()
        let number = places[Int(place)].number
        let newest = lines[Int(line)].newest
        places[Int(place)] = Place(
            element: element,
            arrival: now,
            deadline: deadline,
            number: number,
            tenant: line,
            previous: newest
        )
        if newest == Self.none { lines[Int(line)].oldest = place } else { places[Int(newest)].next = place }
        lines[Int(line)].newest = place
        count += 1
        changeCount(of: line, by: 1)
        return Ticket(place: place, number: number)
    }

    /// The reading since which the tenant whose turn is next has elements, or `nil` if the queue is empty.
    var start: Int64? { turn == Self.none ? nil : lines[Int(turn)].start }

    /// Removes the oldest element of the tenant whose turn is next, without an end of the turn.
    ///
    /// - Parameter reading: The reading before which the element was added.
    /// - Returns: The element, or `nil` if the tenant has no newer element or the oldest was added later.
    mutating func removeOldest(addedBefore reading: Int64) -> Departure? {
        guard turn != Self.none, lines[Int(turn)].count > 1 else { return nil }
        let oldest = lines[Int(turn)].oldest
        return places[Int(oldest)].arrival < reading ? remove(oldest) : nil
    }

    /// Removes an element of the tenant whose turn is next and gives the turn to the next tenant.
    ///
    /// - Parameter takesNewest: `true` for the tenant's newest element instead of the oldest.
    /// - Returns: The element, or `nil` if the queue is empty.
    mutating func next(takesNewest: Bool) -> Departure? {
        if turn == Self.none { return nil }
        let line = lines[Int(turn)]
        turn = line.nextTurn
        return remove(takesNewest ? line.newest : line.oldest)
    }

    /// Removes the newest element of a tenant with the most elements.
    mutating func removeNewestOfLongest() -> Departure? {
        longest == 0 ? nil : remove(lines[Int(peers[longest])].newest)
    }

    /// Removes an element.
    ///
    /// - Returns: The element, or `nil` if the element has left the queue.
    mutating func remove(_ ticket: Ticket) -> Departure? {
        let place = places[Int(ticket.place)]
        return place.element == nil || place.number != ticket.number ? nil : remove(ticket.place)
    }

    // MARK: Elements

    private mutating func remove(_ position: Int32) -> Departure? {
        let place = places[Int(position)]
        guard let element = place.element else { return nil }
        let line = Int(place.tenant)
        if place.previous == Self.none {
            lines[line].oldest = place.next
        } else {
            places[Int(place.previous)].next = place.next
        }
        if place.next == Self.none {
            lines[line].newest = place.previous
        } else {
            places[Int(place.next)].previous = place.previous
        }
        places[Int(position)] = Place(number: place.number &+ 1, next: freePlace)
        freePlace = position
        count -= 1
        changeCount(of: place.tenant, by: -1)
        return Departure(element: element, arrival: place.arrival, deadline: place.deadline)
    }

    private mutating func takePlace() -> Int32 {
        if freePlace == Self.none {
            places.append(Place())
            return Int32(places.count - 1)
        }
        defer { freePlace = places[Int(freePlace)].next }
        return freePlace
    }

    // MARK: Tenants

    private mutating func addLine(_ tenant: String?, at now: Int64) -> Int32 {
        let line: Int32
        if freeLine == Self.none {
            lines.append(Line())
            line = Int32(lines.count - 1)
        } else {
            line = freeLine
            freeLine = lines[Int(line)].nextPeer
        }
        lines[Int(line)] = Line(name: tenant, start: now)
        lineOfTenant[tenant] = line
        // A new tenant is the last in turn.
        if turn == Self.none {
            (lines[Int(line)].nextTurn, lines[Int(line)].previousTurn, turn) = (line, line, line)
        } else {
            let last = lines[Int(turn)].previousTurn
            (lines[Int(line)].nextTurn, lines[Int(line)].previousTurn) = (turn, last)
            lines[Int(last)].nextTurn = line
            lines[Int(turn)].previousTurn = line
        }
        return line
    }

    private mutating func removeLine(_ position: Int32) {
        let line = lines[Int(position)]
        if line.nextTurn == position {
            turn = Self.none
        } else {
            lines[Int(line.previousTurn)].nextTurn = line.nextTurn
            lines[Int(line.nextTurn)].previousTurn = line.previousTurn
            if turn == position { turn = line.nextTurn }
        }
        lineOfTenant[line.name] = nil
        lines[Int(position)] = Line(nextPeer: freeLine)
        freeLine = position
    }

    /// Moves a tenant to the tenants with one element more or less.
    private mutating func changeCount(of position: Int32, by change: Int) {
        let old = lines[Int(position)].count
        if old > 0 { unlinkPeer(position, old) }
        let new = old + change
        lines[Int(position)].count = new
        if new > 0 {
            linkPeer(position, new)
            longest = max(longest, new)
        } else {
            removeLine(position)
        }
        // The tenant has left the longest lines for lines that are shorter by one.
        if longest > 0, peers[longest] == Self.none { longest -= 1 }
    }

    private mutating func linkPeer(_ position: Int32, _ count: Int) {
        while peers.count <= count { peers.append(Self.none) }
        let first = peers[count]
        lines[Int(position)].nextPeer = first
        lines[Int(position)].previousPeer = Self.none
        if first != Self.none { lines[Int(first)].previousPeer = position }
        peers[count] = position
    }

    private mutating func unlinkPeer(_ position: Int32, _ count: Int) {
        let line = lines[Int(position)]
        if line.previousPeer == Self.none {
            peers[count] = line.nextPeer
        } else {
            lines[Int(line.previousPeer)].nextPeer = line.nextPeer
        }
        if line.nextPeer != Self.none { lines[Int(line.nextPeer)].previousPeer = line.previousPeer }
    }
}
