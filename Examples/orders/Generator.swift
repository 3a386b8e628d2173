import Reliability

/// Makes plausible orders; the same seed makes the same ones.
struct Generator {
    private var randomness: Randomness
    private var recent: [String] = []

    private let customers: Int

    /// Begins a series of about `count` orders.
    init(seed: UInt64, count: Int) {
        randomness = Randomness(seed: seed)
        customers = max(100, count / 3)
    }

    /// One line: mostly a valid order of one of many customers; at times a repeated one, a broken one, or one of a
    /// customer who orders more than anyone may.
    mutating func line() -> [UInt8] {
        if randomness.chance(0.05), let repeated = recent.randomElement(using: &randomness) {
            return Array(repeated.utf8)
        }
        let isEager = randomness.chance(0.05)
        let customer = isEager ? "eager" : "customer\(Int.random(in: 0..<customers, using: &randomness))"
        let isBroken = randomness.chance(0.05)
        let quantity = isBroken ? 0 : Int.random(in: 1...5, using: &randomness)
        let items = (0..<Int.random(in: 1...4, using: &randomness)).map { _ in
            let sku = "SKU-\(Int.random(in: 100...999, using: &randomness))"
            let price = Int.random(in: 99...19_999, using: &randomness)
            return #"{"sku":"\#(sku)","quantity":\#(quantity),"unit_price_cents":\#(price)}"#
        }
        let line = """
            {"order_id":"\(uuid())","customer":{"email":"\(customer)@example.com","phone":"+4930\
            \(Int.random(in: 1_000_000...9_999_999, using: &randomness))"},\
            "reference":"po-\(Int.random(in: 1000...9999, using: &randomness))","currency":"EUR",\
            "items":[\(items.joined(separator: ","))],"idempotency_key":"\(uuid())"}
            """
        recent.append(line)
        if recent.count > 50 { recent.removeFirst() }
        return Array(line.utf8)
    }

    private mutating func uuid() -> String {
        let digits = Array("0123456789abcdef")
        var text = ""
        for index in 0..<32 {
            if [8, 12, 16, 20].contains(index) { text += "-" }
            switch index {
            case 12: text += "4"
            case 16: text.append(digits[8 + Int.random(in: 0..<4, using: &randomness)])
            default: text.append(digits[Int.random(in: 0..<16, using: &randomness)])
            }
        }
        return text
    }
}
