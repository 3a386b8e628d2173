/// A part of a store's files that cannot be read.
package struct DamageFinding: Hashable, Sendable {
    package enum Reason: String, Sendable {
        /// The file is missing.
        case missing
        /// The file header is damaged or is the header of another file.
        case header
        /// No file header and no other file states the salt, so no frame can be checked.
        case unknownSalt
        /// Bytes are not valid frames.
        case frames
        /// The frames end before the end that another file states.
        case end
        /// The format is unknown.
        case format
        /// An opening rejects the file, although all its frames are intact.
        case rejected
    }

    /// The name of the file.
    package var file: String
    package var reason: Reason
    /// The bytes that were skipped, empty if the number of bytes is unknown.
    package var range: Range<Int64>
    /// The number of frames that are lost, or `nil` if the number is unknown.
    package var lostFrames: UInt64?
    /// A Boolean value that indicates whether an opening needs the bytes.
    package var isNeeded = true

    /// An explanation for people.
    package var explanation: String {
        switch reason {
        case .missing: "the file is missing"
        case .header: "the file header is damaged or belongs to another file"
        case .unknownSalt: "the file cannot be checked, because its header is damaged and no other file names it"
        case .frames: "the bytes are not valid frames"
        case .end: "the frames end too early"
        case .rejected: "an opening rejects the file, although all its frames are intact"
        case .format: "this version cannot read the format"
        }
    }
}
