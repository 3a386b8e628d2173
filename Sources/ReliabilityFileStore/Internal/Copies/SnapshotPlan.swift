/// The durable files of a store at one instant.
package struct SnapshotPlan: Sendable {
    let manifest: Manifest
    /// The segments in order, the last of which is in use.
    let segments: [StoreFiles.Segment]
    /// The end of the durable frames in the last segment.
    let end: Int64
    /// A number above the numbers of all files.
    let number: UInt64
    /// A clock and a next version that are not less than in any durable frame.
    let position: LogPosition
}
