import Reliability

/// An order, checked and normalised.
struct Order: Sendable {
    struct Item: Sendable {
        let sku: String
        let quantity: Int64
        let unitPriceCents: Int64

        init(_ json: JSONReader) throws {
            let sku = json.string("sku", bytes: 1...64)
            let quantity = json.integer("quantity", in: Int64(1)...1000)
            let price = json.integer("unit_price_cents", in: Int64(0)...100_000_000)
            (self.sku, self.quantity, unitPriceCents) = try (sku.value, quantity.value, price.value)
        }
    }

    let id: String
    let email: String
    let phone: String
    let reference: String
    let currency: String
    let items: [Item]
    let idempotencyKey: String

    static let lineBytes = 64 << 10
    static let parser = Validator(.init(maxBodyBytes: lineBytes, maxDepth: 8, maxArrayItems: 100))

    /// Reads an order; `Order.parser` calls it and collects everything that is wrong.
    init(_ json: JSONReader) throws {
        let id = json.uuid("order_id")
        let email = json.email("customer", "email")
        let phone = json.phone("customer", "phone")
        let reference = json.alphanumericCode("reference")
        let currency = json.currency("currency", among: ["EUR"])
        let items = json.array("items", count: 1...100, of: Item.init)
        let key = json.string("idempotency_key", bytes: 1...255)
        (self.id, self.email, self.phone) = try (id.value, email.value, phone.value)
        (self.reference, self.currency) = try (reference.value, currency.value)
        (self.items, idempotencyKey) = try (items.value, key.value)
    }

    /// The order's id alone, of a line that is no valid order.
    static func id(of line: [UInt8]) -> String? {
        var configuration = parser.configuration
        configuration.unknownKeys = .ignore
        return try? Validator(configuration).parse(line) { try $0.uuid("order_id").value }
    }

    /// At most 100 × 1,000 × 10⁸: it cannot overflow.
    var amountCents: Int64 { items.reduce(0) { $0 + $1.quantity * $1.unitPriceCents } }

    /// The key under which the gateway recognises this order: two customers' keys never meet.
    var gatewayKey: String { "\(email.utf8.count):\(email)\(idempotencyKey)" }

    /// The order in one form, whatever the order of keys and the spaces of the line it came in.
    var canonical: [UInt8] {
        let items = items.map {
            #"{"sku":\#(json($0.sku)),"quantity":\#($0.quantity),"unit_price_cents":\#($0.unitPriceCents)}"#
        }
        return Array(
            """
            {"order_id":"\(id)","customer":{"email":\(json(email)),"phone":"\(phone)"},\
            "reference":\(json(reference)),"currency":"\(currency)","items":[\(items.joined(separator: ","))],\
            "idempotency_key":\(json(idempotencyKey))}
            """.utf8
        )
    }
}

/// What a service wrote down about one call that had an effect, or would have had one the first time.
struct LedgerEntry {
    let key: String
    let amount: Int64

    static let parser = Validator(.init(unknownKeys: .ignore))

    init(_ json: JSONReader) throws {
        let key = json.optional("key")?.string(bytes: 1...1024) ?? json.string("message_id", bytes: 1...1024)
        let amount = json.optional("amount_cents")?.integer(in: Int64(0)...Int64.max)
        self.key = try key.value
        self.amount = try amount?.value ?? 0
    }
}
