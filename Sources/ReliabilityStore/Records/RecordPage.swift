/// A page of records in the order of the bytes of their ids.
public struct RecordPage: Hashable, Sendable {
    /// The records.
    public let records: [RecordInfo]
    /// The `after` argument for the next page, or `nil` if this page is the last page.
    public let next: String?

    /// Creates a page.
    public init(records: [RecordInfo], next: String?) {
        self.records = records
        self.next = next
    }
}
